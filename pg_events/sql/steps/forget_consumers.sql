delete from pgevents.consumer;
delete from pgevents.failed;
{rename_origin}
