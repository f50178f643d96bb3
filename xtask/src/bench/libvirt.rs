//! Verbs of guests on libvirt's own driver for tests: the toolstack against libvirt-python.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt::network::Network;
use virt_sys as sys;
use xenrt_core::lab::LabFile;
use xenrt_core::model::{GuestSpec, Host, ShutdownMode, Toolstack as _, VifSpec};
use xenrt_libvirt::LibvirtToolstack;

use super::{Error, Row, median};

/// Guests a round, each of which lives through [`VERBS`] verbs.
const GUESTS: usize = 300;

/// define, start, pause, unpause, power off, delete.
const VERBS: usize = 6;

/// Guests that live at the same time, as tests of several workers have them.
const AT_ONCE: usize = 4;

/// The driver of every side.
const URI: &str = "test:///default";

/// Measures verbs a second, of four sides in turns.
pub(super) fn run(rounds: usize) -> Result<Vec<Row>, Error> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let host = runtime.block_on(connect(folder.path()))?;
    let bare = Connect::open(Some(URI))?;
    let mut python = Peer::start();
    let (mut several, mut one, mut limit, mut theirs) = (vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        for side in 0..4 {
            match (round + side) % 4 {
                0 => several.push(runtime.block_on(lives(host.as_ref(), AT_ONCE))?),
                1 => one.push(runtime.block_on(lives(host.as_ref(), 1))?),
                2 => limit.push(bare_lives(&bare)?),
                _ => theirs.extend(python.as_mut().ok().map(Peer::measure).transpose()?),
            }
        }
    }
    let python_note = match &python {
        Ok(_) => "the target is 1".to_owned(),
        Err(error) => format!("libvirt-python could not be run: {error}"),
    };
    let row = |name: &str, ours: &[f64], peer: &str, theirs: &[f64], note: String| Row {
        name: name.to_owned(),
        unit: "verbs/s".to_owned(),
        ours: median(ours.to_vec()),
        peer: peer.to_owned(),
        peer_value: (!theirs.is_empty()).then(|| median(theirs.to_vec())),
        ratio: (!theirs.is_empty())
            .then(|| median(ours.iter().zip(theirs).map(|(ours, peer)| ours / peer).collect())),
        note,
    };
    let at_once = format!("{AT_ONCE} guests at once against a loop; {python_note}");
    let in_turn = "one guest after the other".to_owned();
    let closeness = "the same calls of libvirt's alone, without toolstack or deadlines".to_owned();
    Ok(vec![
        row("libvirt-verbs", &several, "libvirt-python", &theirs, at_once),
        row("libvirt-verbs-1", &one, "libvirt-python", &theirs, in_turn),
        row("libvirt-limit", &one, "libvirt itself", &limit, closeness),
    ])
}

async fn connect(folder: &Path) -> Result<Arc<dyn Host>, Error> {
    let text = format!(
        "[[host]]\nname = \"driver\"\naddress = \"localhost\"\ntoolstack = \"libvirt\"\n\
         work_folder = {folder:?}\nattributes = {{ libvirt_uri = {URI:?} }}\n\
         [host.guest_network]\nnetwork = \"default\"\n\
         [[host.images]]\nname = \"bare\"\nkinds = [\"hvm\"]\nmemory_mib = 16\n"
    );
    let lab = LabFile::parse(&text, "bench")?;
    let entry = lab.hosts.first().ok_or("the lab of the bench has no host")?;
    Ok(LibvirtToolstack::new().connect(entry).await?)
}

/// Verbs a second, of so many guests at once.
async fn lives(host: &dyn Host, at_once: usize) -> Result<f64, Error> {
    let started = Instant::now();
    let all = futures::stream::iter((0..GUESTS).map(|number| life(host, number)));
    all.buffer_unordered(at_once).try_collect::<()>().await?;
    Ok((GUESTS * VERBS) as f64 / started.elapsed().as_secs_f64())
}

async fn life(host: &dyn Host, number: usize) -> Result<(), Error> {
    let name = format!("ours-{number}");
    let spec = GuestSpec::new(name).image("bare").vif(VifSpec::on_default());
    let guest = host.define_guest(&spec).await?;
    guest.start().await?;
    guest.pause().await?;
    guest.unpause().await?;
    guest.shutdown(ShutdownMode::Hard).await?;
    Ok(guest.delete().await?)
}

/// Verbs a second of the calls that the Python process makes, made from here.
fn bare_lives(connect: &Connect) -> Result<f64, Error> {
    let started = Instant::now();
    for number in 0..GUESTS {
        bare_life(connect, number)?;
    }
    Ok((GUESTS * VERBS) as f64 / started.elapsed().as_secs_f64())
}

fn bare_life(connect: &Connect, number: usize) -> Result<(), Error> {
    let (name, identity) = (format!("bare-{number}"), Uuid::new_v4());
    let document = format!(
        "<domain type='test'><name>{name}</name><uuid>{identity}</uuid>\
         <memory unit='KiB'>16384</memory><currentMemory unit='KiB'>16384</currentMemory>\
         <vcpu>1</vcpu><os><type>hvm</type><boot dev='hd'/></os>\
         <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>\
         <on_crash>preserve</on_crash><devices><interface type='network'>\
         <mac address='00:16:3e:01:02:03'/><source network='default'/></interface></devices>\
         </domain>"
    );
    let find = || Domain::lookup_by_uuid(connect, identity);
    let state = || -> Result<sys::virDomainState, Error> {
        let domain = find()?;
        let (state, _) = domain.get_state()?;
        if state == sys::VIR_DOMAIN_SHUTOFF {
            domain.has_managed_save(0)?;
        }
        Ok(state)
    };
    let verb = |before, after, ask: fn(&Domain) -> Result<(), VirtError>| -> Result<(), Error> {
        let was = state()?;
        ask(&find()?)?;
        match (was, state()?) {
            seen if seen == (before, after) => Ok(()),
            seen => Err(format!("a domain was in the states {seen:?}").into()),
        }
    };
    if Domain::lookup_by_name(connect, &name).is_ok() {
        return Err(format!("the name {name} is taken").into());
    }
    Network::lookup_by_name(connect, "default")?;
    Domain::define_xml(connect, &document)?.get_xml_desc(0)?;
    let (off, running) = (sys::VIR_DOMAIN_SHUTOFF, sys::VIR_DOMAIN_RUNNING);
    let paused = sys::VIR_DOMAIN_PAUSED;
    verb(off, running, |domain| domain.create().map(drop))?;
    verb(running, paused, |domain| domain.suspend().map(drop))?;
    verb(paused, running, |domain| domain.resume().map(drop))?;
    verb(running, off, Domain::destroy)?;
    if find()?.get_id().is_some() {
        return Err("it still has a domain".into());
    }
    state()?;
    find()?.undefine()?;
    match find() {
        Ok(_) => Err("it is still there".into()),
        Err(_) => Ok(()),
    }
}

/// A Python process that does the same.
struct Peer {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start() -> Result<Self, Error> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/libvirt_bench.py");
        // Packages of Debian's are seen by Debian's own Python alone.
        let works = |python: &&str| {
            let mut import = Program::new(python);
            let import = import.args(["-c", "import libvirt"]).stderr(Stdio::null());
            import.status().is_ok_and(|status| status.success())
        };
        let python = ["/usr/bin/python3", "python3"].into_iter().find(works);
        let python = python.ok_or("install it (Debian: apt-get install python3-libvirt)")?;
        let mut child = Program::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the Python process has no output")?;
        Ok(Self { child, stdout: BufReader::new(stdout) })
    }

    fn measure(&mut self) -> Result<f64, Error> {
        let stdin = self.child.stdin.as_mut().ok_or("the Python process has no input")?;
        writeln!(stdin, "{GUESTS}")?;
        stdin.flush()?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().parse().map_err(|_| format!("the Python process said {line:?}"))?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends with its input.
        let _ = self.child.wait();
    }
}
