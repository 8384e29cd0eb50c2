-- The demo's shop: what a small web shop keeps, with a bit of everything a table can hold. No real data.

create schema shop;

create type shop.order_status as enum ('pending', 'paid', 'packed', 'shipped', 'delivered', 'cancelled');

create domain shop.email as text
    check (value ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$');

create domain shop.money_amount as numeric(12, 2)
    check (value >= 0);

create table shop.customers (
    id bigint generated always as identity primary key,
    email shop.email not null unique,
    name text not null,
    tags text[] not null default '{}',
    address jsonb not null,
    created_at timestamptz not null default now()
);

create table shop.products (
    id bigint generated always as identity primary key,
    sku text not null unique,
    name text not null,
    price shop.money_amount not null,
    dimensions_mm integer[] not null,
    attributes json not null,
    thumbnail bytea,
    changed_at timestamptz not null default now()
);

create table shop.stock (
    product_id bigint primary key references shop.products on delete cascade,
    on_hand integer not null,
    reserved integer not null default 0 check (reserved >= 0),
    shelf text not null,
    counted_at timestamptz not null default now()
);

create table shop.carts (
    id bigint generated always as identity primary key,
    customer_id bigint references shop.customers on delete cascade,
    items jsonb not null default '[]',
    created_at timestamptz not null default now()
);

create table shop.orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references shop.customers on delete cascade,
    status shop.order_status not null default 'pending',
    total shop.money_amount not null default 0,
    vat numeric(12, 2) generated always as (round(total * 19 / 119, 2)) stored,
    ship_to jsonb not null,
    note text,
    ordered_at timestamptz not null default now()
);

create index on shop.orders (customer_id);
create index on shop.orders (status, id);

create table shop.order_items (
    order_id bigint not null references shop.orders on delete cascade,
    position smallint not null,
    product_id bigint not null references shop.products,
    quantity integer not null check (quantity > 0),
    unit_price shop.money_amount not null,
    line_total numeric(14, 2) generated always as (quantity * unit_price) stored,
    primary key (order_id, position)
);

-- By month: this one, the next, and a default for everything else.
create table shop.payments (
    id bigint generated always as identity,
    order_id bigint not null,
    method text not null check (method in ('card', 'transfer', 'voucher')),
    amount shop.money_amount not null,
    receipt bytea,
    paid_at timestamptz not null default now(),
    primary key (id, paid_at)
) partition by range (paid_at);

create table shop.page_views (
    at timestamptz not null default now(),
    visitor uuid not null,
    path text not null,
    referrer text,
    milliseconds real,
    client json
) partition by range (at);

do $$
declare
    parent text;
    month date;
begin
    foreach parent in array array['payments', 'page_views'] loop
        for month in
            select generate_series(date_trunc('month', now()) - interval '1 month',
                                   date_trunc('month', now()) + interval '1 month', '1 month')
        loop
            execute format('create table shop.%I partition of shop.%I for values from (%L) to (%L)',
                           parent || to_char(month, '_YYYY_MM'), parent, month, month + interval '1 month');
        end loop;
        execute format('create table shop.%I partition of shop.%I default', parent || '_default', parent);
    end loop;
end
$$;

create view shop.open_orders as
select o.id, c.name, o.status, o.total, o.ordered_at
from shop.orders o
join shop.customers c on c.id = o.customer_id
where o.status in ('pending', 'paid', 'packed');

insert into shop.customers (email, name, tags, address, created_at)
select lower(first) || '.' || lower(translate(last, 'øåéñüö ''', 'oaenuo')) || '@example.com',
       first || ' ' || last,
       case n % 4 when 0 then array['newsletter', 'vip'] when 1 then array['newsletter'] else '{}' end,
       jsonb_build_object('street', street || ' ' || 3 + n * 7 % 90,
                          'city', (array['Utrecht', 'Lyon', 'Graz', 'Porto', 'Malmö', 'Gdańsk'])[1 + n % 6],
                          'country', (array['NL', 'FR', 'AT', 'PT', 'SE', 'PL'])[1 + n % 6]),
       now() - n * interval '9 days 5 hours'
from (
    select n::integer,
           (array['Ada', 'Bruno', 'Chiara', 'Dinesh', 'Elif', 'Farid', 'Greta', 'Hugo', 'Ines', 'Jonas'])[1 + n % 10],
           (array['Moreau', 'Lindqvist', 'Okafor', 'Nguyen', 'Sørensen', 'Peña', 'Kowalska'])[1 + n % 7],
           (array['Canal Street', 'Rue du Port', 'Mill Lane', 'Station Road', 'Harbour Walk'])[1 + n % 5]
    from generate_series(0, 29) as n
) as person (n, first, last, street);

insert into shop.products (sku, name, price, dimensions_mm, attributes, thumbnail, changed_at)
select upper(left(thing, 3)) || '-' || lpad((n * 37)::text, 4, '0'),
       style || ' ' || thing,
       4.90 + (n * 7919 % 9000) / 100.0,
       array[80 + n * 13 % 400, 60 + n * 29 % 300, 10 + n * 7 % 120],
       json_build_object('colour', (array['sand', 'slate', 'moss', 'rust', 'ink'])[1 + n % 5],
                         'weight_g', 120 + n * 41 % 2400,
                         'organic', n % 3 = 0),
       case when n % 2 = 0 then decode(md5(thing || n), 'hex') end,
       now() - n * interval '31 hours'
from (
    select n::integer,
           (array['Oak', 'Linen', 'Enamel', 'Wool', 'Recycled'])[1 + n % 5],
           (array['Teapot', 'Blanket', 'Cutting Board', 'Apron', 'Lantern',
                  'Mug', 'Basket', 'Notebook', 'Candle Holder', 'Tray'])[1 + n / 5]
    from generate_series(0, 49) as n
) as product (n, style, thing);

insert into shop.stock (product_id, on_hand, shelf)
select id, 200 + (id * 53 % 300)::integer, chr(65 + (id % 6)::integer) || '-' || lpad((id % 40)::text, 2, '0')
from shop.products;
