DROP TABLE learnt_ids;
