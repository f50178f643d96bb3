//! The guest that a test works on.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt as _;
use xenrt::Error;
use xenrt::prelude::*;
use xenrt::testcase::FromArg;

/// A guest that any guest will do for: one of the preparation, or one of the test's own.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The guest. It is Running and a login works when the test begins.
    pub(crate) guest: Arc<dyn Guest>,
}

impl Subject {
    /// The guest of the preparation that the test is meant for, else a new one; see the
    /// [crate](crate). One that is found in another state is brought up first.
    ///
    /// # Errors
    /// A guest that is named and is not there; whatever creating and starting bring.
    pub(crate) async fn take(cx: &TestContext) -> Result<Self> {
        let named = cx.args().get::<String>("guest")?;
        match cx.default_guest() {
            Ok(guest) => {
                bring_up(guest.as_ref()).await?;
                Ok(Self { guest })
            }
            // There is none, or another test has it.
            Err(Error::Invalid { .. }) if named.is_none() => {
                let host = cx.default_host()?;
                let guest = up(&host, &guest_spec(cx)?).await?;
                Ok(Self { guest })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Brings a guest to Running with a login that works, from whatever state it is in.
pub(crate) async fn bring_up(guest: &dyn Guest) -> Result {
    match guest.power_state().await? {
        PowerState::Halted => guest.start().await?,
        PowerState::Paused => guest.unpause().await?,
        PowerState::Suspended => guest.resume().await?,
        PowerState::Running => {}
        state @ (PowerState::Crashed | PowerState::Dying) => {
            let problem = format!("guest {} is {state} before the test", guest.name());
            return Err(TestError::infrastructure(problem));
        }
    }
    Ok(guest.wait_until_reachable().await?)
}

/// A guest of the image `distro` with one VIF, to be changed before it is made. Its name is new in
/// this process.
pub(crate) fn guest_spec(cx: &TestContext) -> Result<GuestSpec> {
    static MADE: AtomicU32 = AtomicU32::new(1);
    let distro: String = cx.args().get_or("distro", "generic-linux".to_owned())?;
    let host = cx.default_host()?;
    let image = host.entry().image_for(&distro)?;
    // A test with several hosts moves its guests.
    let moves = cx.claimed_hosts()?.len() > 1 && host.abilities().has(Ability::LiveMigration);
    let kind = host.kind_to_move(&image.kinds).filter(|_| moves);
    let test = cx.id().rsplit('.').next().unwrap_or("guest");
    let name = format!("xrt-{test}-{}", MADE.fetch_add(1, Ordering::Relaxed));
    let mut spec = GuestSpec::new(name).image(&image.name).vif(VifSpec::on_default());
    spec.kind = kind;
    Ok(spec)
}

/// The memory that a guest of this specification has without one said.
pub(crate) fn image_memory(host: &dyn Host, spec: &GuestSpec) -> Result<Memory> {
    let image = spec.image.as_deref().unwrap_or("generic-linux");
    Ok(host.entry().image_for(image)?.memory)
}

/// A new guest that is up.
pub(crate) async fn up(host: &Arc<dyn Host>, spec: &GuestSpec) -> Result<Arc<dyn Guest>> {
    let guest = host.create_guest(spec).await?;
    guest.start().await?;
    guest.wait_until_reachable().await?;
    Ok(guest)
}

/// New guests, Halted, and started by nobody yet.
pub(crate) async fn several(cx: &TestContext, count: u32) -> Result<Vec<Arc<dyn Guest>>> {
    let host = cx.default_host()?;
    let mut guests = Vec::new();
    for _ in 0..count {
        guests.push(host.create_guest(&guest_spec(cx)?).await?);
    }
    Ok(guests)
}

/// So many new guests that are up.
pub(crate) async fn several_up(cx: &TestContext, count: u32) -> Result<Vec<Arc<dyn Guest>>> {
    let guests = several(cx, count).await?;
    start_all(&guests, count).await?;
    Ok(guests)
}

/// Starts guests, `workers` at once, and waits until each is reachable.
///
/// # Errors
/// One error that names every guest that did not come up.
pub(crate) async fn start_all(guests: &[Arc<dyn Guest>], workers: u32) -> Result {
    within(guests, workers, "come up", |guest| async move {
        guest.start().await?;
        guest.wait_until_reachable().await?;
        Ok(())
    })
    .await
}

/// Does the same with many guests, `workers` at once, all of them whatever becomes of the others.
///
/// # Errors
/// One error that names every guest with which it failed; it is to blame on the product as soon as
/// one of them is.
pub(crate) async fn within<F, Fut>(
    guests: &[Arc<dyn Guest>],
    workers: u32,
    what: &str,
    act: F,
) -> Result
where
    F: Fn(Arc<dyn Guest>) -> Fut,
    Fut: Future<Output = Result> + Send,
{
    let tasks: Vec<_> = guests
        .iter()
        .map(|guest| {
            let (name, task) = (guest.name(), act(Arc::clone(guest)));
            async move { task.await.err().map(|error| (name, error)) }
        })
        .collect();
    let workers = workers.max(1) as usize;
    let failed: Vec<_> = futures::stream::iter(tasks)
        .buffer_unordered(workers)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    if failed.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
    let message =
        format!("{} of {} guests did not {what}: {}", failed.len(), guests.len(), told.join("; "));
    let product = failed.iter().any(|(_, error)| error.blame() == Some(xenrt::Blame::Product));
    Err(if product { TestError::product(message) } else { TestError::infrastructure(message) })
}

/// An argument that says how often or how many: at least 1, for a test that did nothing proves nothing.
///
/// # Errors
/// The test's, where it is 0 or no number.
pub(crate) fn count<T>(cx: &TestContext, name: &str, default: T) -> Result<T>
where
    T: FromArg + PartialOrd + From<u8>,
{
    let count = cx.args().get_or(name, default)?;
    if count < T::from(1) {
        return Err(TestError::test(format!("`{name}` is 0; the test would do nothing")));
    }
    Ok(count)
}

/// Says in which round of how many an error came.
pub(crate) fn in_round(number: u32, rounds: u32) -> impl FnOnce(TestError) -> TestError {
    move |error| error.context(format!("round {number} of {rounds}"))
}
