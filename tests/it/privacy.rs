//! Nothing personal and no secret is left behind: not in the log, not in the files of the database.
