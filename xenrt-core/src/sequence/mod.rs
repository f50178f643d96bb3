//! Text into a [`Sequence`]: which hosts and guests a run needs, and which tests it runs in which
//! order.
//!
//! Parsing gives typed values with the [`Place`] that each came from; every problem of a file is a
//! diagnostic with file, line, column and a caret, and all problems of a file are told at once.

mod model;
mod values;

pub use model::{
    Argument, Block, BlockKind, GuestStep, HostStep, Node, Place, Prepare, Sequence, TestStep,
    VifStep,
};
pub(crate) use values::parse_bool;
