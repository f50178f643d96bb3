//! Running programs, and looking at everything after each step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{Failure, Found};
use super::guests::Guests;
use super::model::{Model, ModelGuest};
use super::program::{Program, Step, Verb};
use super::shrink::shrink;
use crate::lab::GuestImage;
use crate::model::{
    Disk, DiskSpec, Guest, GuestKind, Host, Memory, PowerState, ShutdownMode, Vif, VifSpec,
};
use crate::sequencer::CancelHandle;
use crate::{Error, Result};

/// Takes the connection to a host away for a moment.
type Cut = Arc<dyn Fn(&str) + Send + Sync>;

/// Who is told of each step before it is taken, by its number in the program.
type Told = Arc<dyn Fn(usize, &Step) + Send + Sync>;

/// Who is told what is wrong as soon as it is, after which step.
type ToldOfFailure = Arc<dyn Fn(usize, &str) + Send + Sync>;

/// So many lines are kept of the console of each guest when something is wrong.
const CONSOLE_LINES: usize = 30;

/// How far and how an exploration goes.
#[derive(Clone)]
#[must_use = "give it to `explore`"]
pub struct Exploration {
    seed: u64,
    steps: usize,
    guests: usize,
    image: Option<String>,
    kind: Option<GuestKind>,
    most_tries: usize,
    cut: Option<Cut>,
    told: Option<Told>,
    told_of_failure: Option<ToldOfFailure>,
    cancel: CancelHandle,
}

impl fmt::Debug for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exploration")
            .field("seed", &self.seed)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Exploration {
    /// So many steps, drawn from this seed, over 3 guests.
    pub fn new(seed: u64, steps: usize) -> Self {
        Self {
            seed,
            steps,
            guests: 3,
            image: None,
            kind: None,
            most_tries: 300,
            cut: None,
            told: None,
            told_of_failure: None,
            cancel: CancelHandle::new(),
        }
    }

    /// Over so many guests.
    pub fn guests(mut self, guests: usize) -> Self {
        self.guests = guests.max(1);
        self
    }

    /// With guests of this image; the first one of the host unless set.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// With guests of this kind. Unless set, one that can be moved where there are two hosts, and else the one
    /// that the image names first.
    pub fn kind(mut self, kind: GuestKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Runs at most so many programs to shorten one that fails; 300 unless set.
    pub fn most_tries(mut self, tries: usize) -> Self {
        self.most_tries = tries;
        self
    }

    /// Also takes the connection to a host away now and then, by `cut`, which is given the name of
    /// the host and must see to it that it comes back by itself.
    pub fn cutting_connections(mut self, cut: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.cut = Some(Arc::new(cut));
        self
    }

    /// Calls `told` before each step with its number in the program, from 0; while a program is
    /// shortened, for those of each that is tried.
    pub fn on_step(mut self, told: impl Fn(usize, &Step) + Send + Sync + 'static) -> Self {
        self.told = Some(Arc::new(told));
        self
    }

    /// Calls `told` as soon as something is wrong, with the number of the step and the message, before the
    /// program is shortened, which may take long; and then for each shorter program that fails as well.
    pub fn on_failure(mut self, told: impl Fn(usize, &str) + Send + Sync + 'static) -> Self {
        self.told_of_failure = Some(Arc::new(told));
        self
    }

    /// Ends when this is cancelled: the step that is being taken is interrupted, and all guests are
    /// removed. A program that is being shortened is told as short as it is by then.
    pub fn cancelled_by(mut self, cancel: CancelHandle) -> Self {
        self.cancel = cancel;
        self
    }
}

/// Explores the hosts that `hosts` gives: draws a program, runs it, and shortens it when something
/// is wrong. `hosts` is called for each program, and gives hosts without guests of an exploration;
/// real hosts may be the same each time, since each program removes what it made.
///
/// # Errors
/// When hosts cannot be had, or have no guest image. What is wrong with the product is
/// [`Found::failure`].
pub async fn explore<F, Fut>(exploration: Exploration, mut hosts: F) -> Result<Found>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Vec<Arc<dyn Host>>>>,
{
    let given = hosts().await?;
    let seed = exploration.seed;
    let mut without = Vec::new();
    if exploration.cut.is_none() {
        without.push(Verb::CutConnection);
    }
    let guests = Guests::on(&given, image_of(&exploration, &given)?, exploration.kind).await?;
    without.extend(guests.cannot(&given));
    let program = Program::draw(seed, exploration.steps, exploration.guests, &given, &without);
    let mut absent = BTreeMap::new();
    let (at, wrong) = match run(&exploration, &given, guests, &program, &mut absent).await? {
        Ended::Well => {
            let steps = program.steps.len();
            return Ok(Found { seed, steps, absent, cancelled: false, failure: None });
        }
        Ended::Cancelled(steps) => {
            return Ok(Found { seed, steps, absent, cancelled: true, failure: None });
        }
        Ended::Wrong(at, wrong) => (at, wrong),
    };
    let steps = at + 1;
    let failing = program.steps[at].verb;
    let program = Program { steps: program.steps[..steps].to_vec() };
    let again = |program: Program| {
        let given = hosts();
        let exploration = &exploration;
        async move {
            let ended =
                run(exploration, &given.await?, guests, &program, &mut BTreeMap::new()).await?;
            let Ended::Wrong(at, wrong) = ended else { return Ok(None) };
            // Another verb that fails is another problem, which must not take the place of this one.
            let verb = std::mem::discriminant(&program.steps[at].verb);
            let same = verb == std::mem::discriminant(&failing);
            Ok::<_, Error>(same.then_some((at, wrong)))
        }
    };
    let goes_on = |tries| tries < exploration.most_tries && !exploration.cancel.is_cancelled();
    let (program, wrong, tries) = shrink(program, wrong, goes_on, again).await?;
    let Wrong { message, consoles } = wrong;
    let failure = Failure { program, guests, message, consoles, found_after: steps, tries };
    let cancelled = exploration.cancel.is_cancelled();
    Ok(Found { seed, steps, absent, cancelled, failure: Some(failure) })
}

/// The image of the guests.
fn image_of<'a>(exploration: &Exploration, hosts: &'a [Arc<dyn Host>]) -> Result<&'a GuestImage> {
    let first = hosts.first().ok_or_else(|| Error::lab("an exploration needs a host"))?;
    first.entry().image_for(exploration.image.as_deref().unwrap_or_default())
}

/// A guest at work.
struct Player {
    guest: Arc<dyn Guest>,
    name: String,
    least_memory: Memory,
    image_disks: usize,
    disks: Vec<Disk>,
    vifs: Vec<Vif>,
}

/// How a program ended.
enum Ended {
    Well,
    /// At this step.
    Cancelled(usize),
    /// At this step, and how it failed.
    Wrong(usize, Wrong),
}

/// What is wrong, and what can be seen of it before the guests are removed.
struct Wrong {
    message: String,
    consoles: BTreeMap<String, String>,
}

impl Wrong {
    async fn seen(message: String, players: &BTreeMap<usize, Player>) -> Self {
        let mut consoles = BTreeMap::new();
        for player in players.values() {
            let end = match player.guest.console_text().await {
                Ok(text) => {
                    let lines: Vec<&str> = text.trim().lines().collect();
                    lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
                }
                // It may be what is wrong that there is none.
                Err(error) => format!("({error})"),
            };
            consoles.insert(player.name.clone(), end);
        }
        Self { message, consoles }
    }
}

/// Runs a program. All guests are removed. What cannot be done is counted in `absent`.
async fn run(
    exploration: &Exploration,
    hosts: &[Arc<dyn Host>],
    guests: Guests,
    program: &Program,
    absent: &mut BTreeMap<String, usize>,
) -> Result<Ended> {
    let mut model = Model::new(hosts.len());
    let mut players = BTreeMap::new();
    let mut ended = Ended::Well;
    for (at, step) in program.steps.iter().enumerate() {
        // A step whose ground was taken away with another one does nothing.
        if !model.allows(step) {
            continue;
        }
        if let Some(told) = &exploration.told {
            told(at, step);
        }
        let seen = async {
            match take(exploration, hosts, guests, &model, &mut players, step).await {
                Ok(()) => model.apply(step),
                // Some of what a toolstack can do it cannot do in every state; that is no failure
                // where it says why and leaves everything as it was.
                Err(Error::Unsupported { reason: Some(reason), .. }) => {
                    *absent.entry(format!("{:?}: {reason}", step.verb)).or_default() += 1;
                }
                Err(error) => return Err(format!("{step} failed: {error}")),
            }
            look(hosts, &model, &players, step).await
        };
        let seen = tokio::select! {
            biased;
            () = exploration.cancel.cancelled() => {
                ended = Ended::Cancelled(at);
                break;
            }
            seen = seen => seen,
        };
        if let Err(message) = seen {
            if let Some(told) = &exploration.told_of_failure {
                told(at, &message);
            }
            let wrong = Wrong::seen(message, &players).await;
            ended = Ended::Wrong(at, wrong);
            break;
        }
    }
    for player in players.values() {
        let removed = player.guest.ensure_deleted().await;
        if let Err(error) = removed
            && !matches!(ended, Ended::Wrong(..))
        {
            let message = format!("a guest could not be removed at the end: {error}");
            let wrong = Wrong::seen(message, &players).await;
            ended = Ended::Wrong(program.steps.len().saturating_sub(1), wrong);
        }
    }
    Ok(ended)
}

/// Carries out one step.
async fn take(
    exploration: &Exploration,
    hosts: &[Arc<dyn Host>],
    guests: Guests,
    model: &Model,
    players: &mut BTreeMap<usize, Player>,
    step: &Step,
) -> Result<()> {
    if step.verb == Verb::Create {
        let name = format!("xrte-{}", step.guest);
        let own = image_of(exploration, hosts)?;
        let guest = hosts[0].define_guest(&guests.spec(&name, own)).await?;
        let least_memory = Guests::memory(own, 0);
        let image_disks = usize::from(own.disk.is_some());
        let (disks, vifs) = (Vec::new(), Vec::new());
        let player = Player { guest, name, least_memory, image_disks, disks, vifs };
        players.insert(step.guest, player);
        return Ok(());
    }
    let Some(player) = players.get_mut(&step.guest) else { return Ok(()) };
    let guest = &player.guest;
    match step.verb {
        Verb::Create => Ok(()),
        Verb::Start => {
            guest.start().await?;
            guest.wait_until_reachable().await
        }
        Verb::StartPaused => guest.start_paused().await,
        Verb::Shutdown => guest.shutdown(ShutdownMode::Clean).await,
        Verb::PowerOff => guest.shutdown(ShutdownMode::Hard).await,
        Verb::Reboot => guest.reboot(ShutdownMode::Clean).await,
        Verb::Reset => guest.reboot(ShutdownMode::Hard).await,
        Verb::Pause => guest.pause().await,
        Verb::Unpause => guest.unpause().await,
        Verb::Suspend => guest.suspend().await,
        Verb::Resume => guest.resume().await,
        Verb::SetVcpus(vcpus) => guest.set_vcpus(vcpus).await,
        Verb::SetMemory(more) => guest.set_memory(player.memory(more)).await,
        Verb::AttachDisk => {
            player.disks.push(guest.attach_disk(DiskSpec::new(Memory::mib(8))).await?);
            Ok(())
        }
        Verb::DetachDisk => match player.disks.pop() {
            Some(disk) => guest.detach_disk(&disk.device).await,
            None => Ok(()),
        },
        Verb::AttachVif => {
            player.vifs.push(guest.attach_vif(VifSpec::on_default()).await?);
            Ok(())
        }
        Verb::DetachVif => match player.vifs.pop() {
            Some(vif) => guest.detach_vif(vif.mac).await,
            None => Ok(()),
        },
        Verb::Rename => {
            let count = model.guest(step.guest).map_or(0, |guest| guest.renames);
            player.name = format!("xrte-{}-{}", step.guest, count + 1);
            guest.rename(&player.name).await
        }
        Verb::Migrate => {
            let at = model.guest(step.guest).map_or(0, |guest| guest.host);
            guest.migrate(&hosts[(at + 1) % hosts.len()]).await
        }
        Verb::Delete => {
            guest.delete().await?;
            players.remove(&step.guest);
            Ok(())
        }
        Verb::CutConnection => {
            let host = guest.host();
            if let Some(cut) = &exploration.cut {
                cut(host.name());
            }
            host.wait_until_up().await
        }
    }
}

impl Player {
    fn memory(&self, more: u32) -> Memory {
        Memory::mib(self.least_memory.as_mib() + u64::from(more))
    }
}

/// Looks at the guest of a step in all views, and at the others in those that cost little.
async fn look(
    hosts: &[Arc<dyn Host>],
    model: &Model,
    players: &BTreeMap<usize, Player>,
    step: &Step,
) -> Result<(), String> {
    let wrong = |error: Error| format!("after {step}: {error}");
    for (number, player) in players {
        let Some(should) = model.guest(*number) else { continue };
        if *number == step.guest {
            by_model(hosts, should, player)
                .await
                .map_err(|what| format!("after {step}: {what}"))?;
            player.guest.check().await.map_err(wrong)?;
        } else {
            let power = player.guest.power_state().await.map_err(wrong)?;
            if power != should.power {
                return Err(format!(
                    "after {step}: guest {:?} beside it is {power}, not {}",
                    player.name, should.power
                ));
            }
        }
    }
    let expected = players.keys().filter_map(|number| model.guest(*number));
    let running = expected.filter(|guest| guest.power.has_domain()).count();
    let mut domains = 0;
    for host in hosts {
        let all = host.domains().await.map_err(wrong)?;
        domains += all.iter().filter(|domain| domain.name.starts_with("xrte-")).count();
    }
    if domains != running {
        return Err(format!("after {step}: there are {domains} domains, not {running}"));
    }
    Ok(())
}

/// Holds a guest against the model's own account of it.
async fn by_model(
    hosts: &[Arc<dyn Host>],
    should: &ModelGuest,
    player: &Player,
) -> Result<(), String> {
    let guest = &player.guest;
    let view = guest.view().await.map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    let mut compare = |what: &str, found: String, expected: String| {
        if found != expected {
            wrong.push(format!("{what} is {found}, not {expected}"));
        }
    };
    compare("the name", guest.name(), player.name.clone());
    compare("the host", guest.host().name().to_owned(), hosts[should.host].name().to_owned());
    compare("the power state", view.power.to_string(), should.power.to_string());
    compare("the number of vCPUs", view.vcpus.to_string(), should.vcpus.to_string());
    let memory = player.memory(should.more_memory);
    if view.memory.abs_diff(memory) > Memory::mib(16) {
        compare("the memory", view.memory.to_string(), memory.to_string());
    }
    let disks = player.image_disks + should.disks;
    compare("the number of disks", view.disks.len().to_string(), disks.to_string());
    compare("the number of VIFs", view.vifs.len().to_string(), (1 + should.vifs).to_string());
    if should.power == PowerState::Running && should.up {
        let inside = tokio::time::timeout(Duration::from_secs(60), guest.inside()).await;
        match inside {
            Ok(Ok(inside)) => {
                compare("the vCPUs inside", inside.vcpus.to_string(), should.vcpus.to_string());
                let macs = inside.macs.len().to_string();
                compare("the number of VIFs inside", macs, (1 + should.vifs).to_string());
            }
            Ok(Err(error)) => wrong.push(format!("it does not answer: {error}")),
            Err(_) => wrong.push("it does not answer within a minute".to_owned()),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}
