DROP TABLE new_links;
