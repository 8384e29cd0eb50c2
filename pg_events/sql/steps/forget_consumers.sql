delete from pgevents.consumer;
delete from pgevents.failed;
