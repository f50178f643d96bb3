//! What the tests of all themes share.

mod between;
mod busy;
mod census;
mod clock;
mod filter;
mod inside;
mod listen;
mod noise;
mod outage;
mod patience;
mod pattern;
mod ping;
mod programs;
mod resident;
mod subject;
mod timings;
mod unmount;
mod witness;

pub(crate) use between::{addresses_between, source_towards};
pub(crate) use busy::keep_busy;
pub(crate) use census::Census;
pub(crate) use clock::skew;
pub(crate) use filter::Filter;
pub(crate) use inside::{last_words, shut_itself_down};
pub(crate) use listen::listening;
pub(crate) use noise::noise;
pub(crate) use outage::outage_during;
pub(crate) use patience::Patience;
pub(crate) use pattern::Pattern;
pub(crate) use ping::{USUAL_PING, answers_pings, ping, pings};
pub(crate) use programs::needs_programs;
pub(crate) use resident::Resident;
pub(crate) use subject::{
    Subject, bring_up, count, guest_spec, image_memory, in_round, several, several_up, start_all,
    up, within,
};
pub(crate) use timings::Timings;
pub(crate) use unmount::unmount;
pub(crate) use witness::{Witness, boot_id, start_anew};
