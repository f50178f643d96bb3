//! The double prints what a real xapi printed, byte for byte.
//!
//! For each recorded command, a [world](worlds) is made in which the recorded answer is the right
//! one, and the command is run in it. No recorded command is left out; what is more than `xe` alone is
//! [named](sequences::OF_A_SHELL).

mod besides;
mod check;
mod drives;
mod sequences;
mod worlds;
