//! Hosts and guests over the xl command line.
