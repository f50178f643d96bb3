//! The vocabulary of XenRT.
