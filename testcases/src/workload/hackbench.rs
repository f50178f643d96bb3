//! hackbench: messages between many processes, which is work for the scheduler.

use xenrt::prelude::*;

use super::{Batch, Figure, Said, not_understood};

/// Messages between groups of 40 processes, with hackbench (of Debian's rt-tests).
#[derive(Debug, Clone)]
pub struct Hackbench {
    groups: u32,
    messages: u32,
}

impl Hackbench {
    /// With so many groups. Each sender passes 100 messages unless set.
    pub fn groups(groups: u32) -> Self {
        Self { groups: groups.max(1), messages: 100 }
    }

    /// Sets how many messages each sender passes.
    #[must_use]
    pub fn messages(mut self, messages: u32) -> Self {
        self.messages = messages.max(1);
        self
    }
}

impl Batch for Hackbench {
    const NAME: &'static str = "hackbench";
    const PROGRAMS: &'static [&'static str] = &["hackbench"];
    const PACKAGES: &'static [(&'static str, &'static str)] = &[("hackbench", "rt-tests")];

    fn command(&self) -> Command {
        Command::new("hackbench")
            .args(["-g", &self.groups.to_string(), "-l", &self.messages.to_string()])
            .deadline(Duration::from_secs(900))
    }

    fn figures(&self, said: &Said) -> Result<Vec<Figure>> {
        if !said.status.success() {
            return Err(said.failed("hackbench"));
        }
        match said.number_after("Time:") {
            Some(seconds) => Ok(vec![Figure::new("time", seconds, "s")]),
            None => Err(not_understood("hackbench", "a line with Time:", &said.out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{recorded, told};
    use super::*;

    /// hackbench of rt-tests 2.4 of Debian 12.
    const RECORDED: &str = "\
Running in process mode with 2 groups using 40 file descriptors each (== 80 tasks)
Each sender will pass 100 messages of 100 bytes
Time: 0.739
";

    #[test]
    fn recorded_output_is_read() {
        let own = Hackbench::groups(2);
        assert_eq!(told(&own.figures(&recorded(RECORDED)).unwrap()), ["time: 0.739 s"]);
        assert!(own.figures(&recorded("Time: soon")).is_err());
    }
}
