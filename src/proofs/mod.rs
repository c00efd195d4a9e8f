//! Proofs about the rule: searches and random histories too large to stand beside the code that they are about.

mod found;
mod histories;
mod interleavings;
mod model;
mod refolds;
mod replay;
mod world;
