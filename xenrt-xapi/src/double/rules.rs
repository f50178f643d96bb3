//! What goes wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Failure};

/// What happens to a command in the place of what should, or besides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Effect {
    /// xapi is not running: the connection is refused.
    Refused,
    /// Nothing answers at the address of the server.
    NoServer,
    /// xapi answers with an HTTP status, 500 or 503: `xe` says neither which nor when.
    Unavailable,
    /// xapi is starting.
    StillBooting,
    /// The connection breaks before anything is done.
    LostBefore,
    /// The connection breaks when it is done.
    LostAfter,
    /// It takes so much longer.
    Slow(Duration),
    /// It never ends.
    Hangs,
    /// It says that it was done, and was not.
    Lies,
    /// It fails with this error of the API.
    Fails(String, Vec<String>),
}

impl Effect {
    /// What the client prints where nothing comes of the command.
    pub(super) fn answer(&self) -> Option<Answer> {
        Some(match self {
            Self::Refused => Answer::failed("Error: Connection refused (calling connect )\n"),
            Self::NoServer => {
                Answer::failed("Unable to contact server. Please check server and port settings.\n")
            }
            Self::Unavailable => Answer::failed("Server internal error.\n"),
            Self::StillBooting => Failure::api::<String>("HOST_STILL_BOOTING", []).answer(),
            Self::Fails(code, values) => Failure::Api(code.clone(), values.clone()).answer(),
            Self::LostBefore => Answer::lost(),
            Self::LostAfter | Self::Slow(_) | Self::Hangs | Self::Lies => return None,
        })
    }
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Commands whose name begins like this; all where it is empty.
    pub(super) command: String,
    /// How many such commands are left alone first.
    pub(super) after: u32,
    /// How many are hit then.
    pub(super) times: u32,
    pub(super) effect: Effect,
}

impl Rule {
    /// Hits the next command whose name begins with `command`; any where it is empty.
    pub fn once(command: &str, effect: Effect) -> Self {
        Self { command: command.to_owned(), after: 0, times: 1, effect }
    }

    /// Leaves so many alone first.
    #[must_use]
    pub fn after(mut self, commands: u32) -> Self {
        self.after = commands;
        self
    }

    /// Hits so many.
    #[must_use]
    pub fn times(mut self, commands: u32) -> Self {
        self.times = commands;
        self
    }

    /// The restart of xapi as a client sees it: refused, then 503, then still starting, then up.
    pub fn restart(command: &str) -> [Self; 3] {
        [Effect::Refused, Effect::Unavailable, Effect::StillBooting]
            .map(|effect| Self::once(command, effect))
    }
}

/// The effect on a command, if there is one. Rules are used up in their order.
pub(super) fn hit(rules: &mut Vec<Rule>, command: &str) -> Option<Effect> {
    let at = rules.iter().position(|rule| command.starts_with(&rule.command))?;
    let rule = rules.get_mut(at)?;
    if rule.after > 0 {
        rule.after -= 1;
        return None;
    }
    let effect = rule.effect.clone();
    rule.times = rule.times.saturating_sub(1);
    if rule.times == 0 {
        rules.remove(at);
    }
    Some(effect)
}
