//! Tests of the harness itself: one for each way in which a test can end, on real hosts of any
//! toolstack. What a run of `sequences/verdicts.seq` says of them is known beforehand.

mod ends;
mod leak;
