//! Partners are apart: none sees, moves or learns of another's users.
