DROP TABLE heartbeats;
DROP TABLE feeds;
DROP TABLE transitions;
DROP TABLE deliveries;
DROP TABLE users;
