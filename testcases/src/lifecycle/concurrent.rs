//! Requests that come at the same time.

use futures::future::join_all;
use xenrt::model::GuestAction;
use xenrt::prelude::*;

use crate::support::{count, guest_spec, in_round};

/// A guest is told to start by several at the same time: one of them is obeyed, and there is exactly
/// one domain of it. Then it is powered off by several at the same time, and there is none.
///
/// Arguments: `distro` (generic-linux), `requests` at once (4), `loops` (3).
#[testcase(id = "lifecycle.concurrent_requests", timeout = "1h", tags("lifecycle", "concurrency"))]
struct ConcurrentRequests {
    guest: Arc<dyn Guest>,
    requests: u32,
    loops: u32,
}

#[async_trait]
impl TestCase for ConcurrentRequests {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (requests, loops) = (count(cx, "requests", 4)?, count(cx, "loops", 3)?);
        let guest = cx.default_host()?.create_guest(&guest_spec(cx)?).await?;
        Ok(Self { guest, requests, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        for round in 1..=self.loops {
            cx.step(format!("Start the guest {} times at once, round {round}", self.requests));
            self.once().await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}

impl ConcurrentRequests {
    async fn once(&self) -> Result {
        let guest = self.guest.as_ref();
        self.all(&GuestAction::Start).await?;
        guest.wait_for_state(PowerState::Running, guest.deadlines().state).await?;
        guest.expectation().update(|expected| expected.power = PowerState::Running);
        self.has_domains(1).await?;
        guest.wait_until_reachable().await?;
        self.all(&GuestAction::PowerOff).await?;
        guest.wait_for_state(PowerState::Halted, guest.deadlines().state).await?;
        guest.expectation().update(|expected| {
            expected.power = PowerState::Halted;
            expected.reachable = false;
        });
        self.has_domains(0).await
    }

    /// Sends the same request many times at once; at least one must be taken.
    async fn all(&self, action: &GuestAction) -> Result {
        let requests = (0..self.requests).map(|_| self.guest.request(action));
        let answers = join_all(requests).await;
        let refused: Vec<String> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err().map(ToString::to_string))
            .collect();
        if refused.len() == answers.len() {
            let message = format!("every request to {} was refused: {}", action.verb(), refused[0]);
            return Err(TestError::product(message));
        }
        Ok(())
    }

    async fn has_domains(&self, count: usize) -> Result {
        let (name, host) = (self.guest.name(), self.guest.host());
        wait_until(format!("guest {name} to have {count} domains"), || async {
            let domains = host.domains().await?;
            let own: Vec<u32> = domains
                .iter()
                .filter(|domain| domain.name == name)
                .map(|domain| domain.domid)
                .collect();
            Ok(Wait::on(own.len() == count, format!("the domains {own:?}")))
        })
        .within(self.guest.deadlines().state)
        .await?;
        Ok(())
    }
}
