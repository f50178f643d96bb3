//! The xapi toolstack on the double of `xe`, through a real sshd.

mod faults;
mod life;
mod secrets;
mod values;
mod world;
