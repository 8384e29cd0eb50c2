if _unusual then
    perform set_config('bytea_output', _session[1], true), set_config('IntervalStyle', _session[2], true),
        set_config('DateStyle', _session[3], true), set_config('extra_float_digits', _session[4], true),
        set_config('quote_all_identifiers', _session[5], true), set_config('array_nulls', _session[6], true);
end if;
{capture_wake}
return null;
