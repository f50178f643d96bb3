//! Consoles and clocks.

use xenrt::prelude::*;

use crate::support::{Subject, count, guest_spec, skew, up};

/// What a guest writes on its console is recorded by the host, whole and for the right guest, and what
/// it wrote before a reboot is not lost with it.
///
/// Arguments: `distro` (generic-linux), `lines` (50).
#[testcase(
    id = "host.console_log",
    timeout = "30m",
    requires(console_log),
    tags("host", "console")
)]
struct ConsoleLog {
    guests: [Arc<dyn Guest>; 2],
    lines: u32,
}

#[async_trait]
impl TestCase for ConsoleLog {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let lines = count(cx, "lines", 50)?;
        let host = cx.default_host()?;
        let guests = [up(&host, &guest_spec(cx)?).await?, up(&host, &guest_spec(cx)?).await?];
        Ok(Self { guests, lines })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        cx.step(format!("Have two guests write {} lines each", self.lines));
        let line =
            |guest: &dyn Guest, number: u32| format!("xenrt: line {number} of {}.", guest.name());
        for guest in &self.guests {
            let shell = guest.shell().await?;
            for number in 1..=self.lines {
                let echo = Command::new("echo").arg(line(guest.as_ref(), number)).to_shell_line();
                let echo = Command::shell_line(format!("{echo} > /dev/console"));
                shell.run(&echo.deadline(Duration::from_secs(60))).await?;
            }
        }
        cx.step("Read the consoles");
        for (guest, other) in [(0, 1), (1, 0)].map(|(a, b)| (&self.guests[a], &self.guests[b])) {
            let missing =
                wait_until(format!("the console of {} to be whole", guest.name()), || async {
                    let console = guest.console_text().await?;
                    let lost = (1..=self.lines)
                        .find(|number| !console.contains(&line(guest.as_ref(), *number)));
                    Ok(match lost {
                        None => Wait::Done(()),
                        Some(number) => Wait::NotYet(format!("line {number} is missing")),
                    })
                });
            missing.within(guest.deadlines().device).await?;
            if guest.console_text().await?.contains(&format!(" of {}.", other.name())) {
                let message =
                    format!("the console of {} holds lines of another guest", guest.name());
                return Err(TestError::product(message));
            }
        }
        Ok(())
    }
}

/// The clocks of guest and host agree, after the guest booted, and after it was paused for a while.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `max_skew` in seconds (5), `paused`: for
/// how long (10s).
#[testcase(
    id = "host.clocks_agree",
    timeout = "30m",
    claims(guest = "exclusive"),
    tags("host", "time")
)]
struct ClocksAgree {
    subject: Subject,
    max_skew: i64,
    paused: Duration,
}

#[async_trait]
impl TestCase for ClocksAgree {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let max_skew = cx.args().get_or("max_skew", 5)?;
        let paused = cx.args().get_or("paused", Duration::from_secs(10))?;
        Ok(Self { subject: Subject::take(cx).await?, max_skew, paused })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let agree = async |when: &str| -> Result {
            let skewed = skew(guest).await?;
            cx.value(format!("clock skew {when}"), skewed as f64, "s");
            if skewed.abs() > self.max_skew {
                let message =
                    format!("the clock of guest {} is {skewed} s off {when}", guest.name());
                return Err(TestError::product(message));
            }
            Ok(())
        };
        agree("at first").await?;
        cx.step(format!("Pause the guest for {:?}", self.paused));
        guest.pause().await?;
        let wait = Command::new("sleep").arg(self.paused.as_secs().to_string());
        let wait = wait.deadline(self.paused + Duration::from_secs(60));
        guest.host().dom0().run(&wait).await?;
        guest.unpause().await?;
        guest.wait_until_reachable().await?;
        agree("after a pause").await?;
        Ok(guest.check().await?)
    }
}
