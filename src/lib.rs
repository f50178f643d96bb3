//! Hypervisor tests written once, run on every toolstack.
