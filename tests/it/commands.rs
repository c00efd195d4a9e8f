//! The program itself: its commands, exit codes, and how it stops.
