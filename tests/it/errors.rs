//! The shape of every error, whoever made it: problems with stable codes, on every route.
