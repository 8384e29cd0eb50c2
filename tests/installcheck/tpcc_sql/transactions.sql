-- name: new order
update district set d_next_o_id = d_next_o_id + 1 where d_id = %(district)s returning d_next_o_id - 1

insert into orders (o_d_id, o_id, o_c_id)
select d_id, d_next_o_id - 1, %(customer)s from district where d_id = %(district)s

insert into new_order select d_id, d_next_o_id - 1 from district where d_id = %(district)s

update stock set s_quantity = case when s_quantity > 15 then s_quantity - 5 else s_quantity + 86 end, s_ytd = s_ytd + 5
where s_i_id = any (%(items)s)

insert into order_line
select d_id, d_next_o_id - 1, row_number() over (order by i_id), i_id, 5, 5 * i_price
from district, item where d_id = %(district)s and i_id = any (%(items)s)

-- name: payment
update warehouse set w_ytd = w_ytd + %(amount)s returning w_name

update district set d_ytd = d_ytd + %(amount)s where d_id = %(district)s

update customer set c_balance = c_balance - %(amount)s, c_payments = c_payments + 1,
    c_data = left(format('%%s %%s %%s', %(amount)s::numeric, c_id, c_data), 500)
where c_d_id = %(district)s and c_id = %(customer)s

insert into history (h_d_id, h_c_id, h_amount) values (%(district)s, %(customer)s, %(amount)s)

-- name: order status
select c_balance, c_last from customer where c_d_id = %(district)s and c_last = 'NAME' || %(customer)s %% 10 order by c_id

select ol_i_id, ol_quantity, ol_amount from order_line
where ol_d_id = %(district)s
    and ol_o_id = (select max(o_id) from orders where o_d_id = %(district)s and o_c_id = %(customer)s)

-- name: delivery
with oldest as (select no_d_id, min(no_o_id) as no_o_id from new_order group by no_d_id),
    taken as (delete from new_order n using oldest o where (n.no_d_id, n.no_o_id) = (o.no_d_id, o.no_o_id) returning n.*),
    carried as (
        update orders set o_carrier = 1 from taken where (o_d_id, o_id) = (no_d_id, no_o_id) returning o_d_id, o_id, o_c_id
    ),
    lines as (
        update order_line set ol_delivered = now() from taken where (ol_d_id, ol_o_id) = (no_d_id, no_o_id)
        returning ol_d_id, ol_amount
    )
update customer set c_balance = c_balance + (select sum(ol_amount) from lines where ol_d_id = c_d_id)
from carried where (c_d_id, c_id) = (o_d_id, o_c_id)

-- name: stock level
select count(distinct s_i_id) from order_line join stock on s_i_id = ol_i_id
where ol_d_id = %(district)s and s_quantity < 20
    and ol_o_id > (select d_next_o_id - 20 from district where d_id = %(district)s)
