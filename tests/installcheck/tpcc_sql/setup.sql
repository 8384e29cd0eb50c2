-- One warehouse, in a schema of its own: small, with the tables and keys that TPC-C has.
create table warehouse (w_id integer primary key, w_name text, w_ytd numeric not null default 0);
create table district (
    d_id integer primary key,
    d_w_id integer not null references warehouse,
    d_ytd numeric not null default 0,
    d_next_o_id integer not null default 1
);
create table customer (
    c_d_id integer references district,
    c_id integer,
    c_last text not null,
    c_balance numeric not null default 0,
    c_payments integer not null default 0,
    c_data text not null default '',
    primary key (c_d_id, c_id)
);
create index on customer (c_d_id, c_last);
create table history (
    h_id bigint generated always as identity primary key,
    h_d_id integer,
    h_c_id integer,
    h_at timestamptz not null default now(),
    h_amount numeric,
    foreign key (h_d_id, h_c_id) references customer
);
create table item (i_id integer primary key, i_name text, i_price numeric(6, 2));
create table stock (s_i_id integer primary key references item, s_quantity integer, s_ytd integer not null default 0);
create table orders (
    o_d_id integer,
    o_id integer,
    o_c_id integer not null,
    o_entry timestamptz not null default now(),
    o_carrier integer,
    primary key (o_d_id, o_id),
    foreign key (o_d_id, o_c_id) references customer
);
create table new_order (no_d_id integer, no_o_id integer, primary key (no_d_id, no_o_id));
create table order_line (
    ol_d_id integer,
    ol_o_id integer,
    ol_number integer,
    ol_i_id integer references item,
    ol_quantity integer,
    ol_amount numeric,
    ol_delivered timestamptz,
    primary key (ol_d_id, ol_o_id, ol_number),
    foreign key (ol_d_id, ol_o_id) references orders
);
insert into warehouse values (1, 'warehouse');
insert into district (d_id, d_w_id) select d, 1 from generate_series(1, 10) d;
insert into customer (c_d_id, c_id, c_last) select d, c, 'NAME' || c % 10 from generate_series(1, 10) d, generate_series(1, 30) c;
insert into item select i, 'item ' || i, 1 + i % 90 from generate_series(1, 200) i;
insert into stock select i, 50 from generate_series(1, 200) i;
analyze;
