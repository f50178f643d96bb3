//! Verbs of guests on libvirt's own driver for tests: the toolstack against libvirt-python.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::time::Instant;

use xenrt_core::lab::LabFile;
use xenrt_core::model::{GuestSpec, Host, ShutdownMode, Toolstack as _, VifSpec};
use xenrt_libvirt::LibvirtToolstack;

use super::{Error, Row, median};

/// Guests a round, each of which lives through [`VERBS`] verbs.
const GUESTS: usize = 300;

/// define, start, pause, unpause, power off, delete.
const VERBS: usize = 6;

/// Measures verbs a second.
pub(super) fn run(rounds: usize) -> Result<Vec<Row>, Error> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let host = runtime.block_on(connect(folder.path()))?;
    let mut peer = Peer::start();
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut figures = [0.0; 2];
        for side in [round % 2, (round + 1) % 2] {
            match (side, &mut peer) {
                (0, _) => figures[0] = runtime.block_on(lives(host.as_ref()))?,
                (_, Ok(peer)) => figures[1] = peer.measure()?,
                (_, Err(_)) => {}
            }
        }
        ours.push(figures[0]);
        if peer.is_ok() {
            theirs.push(figures[1]);
            ratios.push(figures[0] / figures[1]);
        }
    }
    let note = match &peer {
        Ok(_) => "each verb looks before and after; the target is 1".to_owned(),
        Err(error) => format!("libvirt-python could not be run: {error}"),
    };
    Ok(vec![Row {
        name: "libvirt-verbs".to_owned(),
        unit: "verbs/s".to_owned(),
        ours: median(ours),
        peer: "libvirt-python".to_owned(),
        peer_value: Some(theirs).filter(|own| !own.is_empty()).map(median),
        ratio: Some(ratios).filter(|own| !own.is_empty()).map(median),
        note,
    }])
}

async fn connect(folder: &Path) -> Result<Arc<dyn Host>, Error> {
    let text = format!(
        "[[host]]\nname = \"driver\"\naddress = \"localhost\"\ntoolstack = \"libvirt\"\n\
         work_folder = {folder:?}\nattributes = {{ libvirt_uri = \"test:///default\" }}\n\
         [host.guest_network]\nnetwork = \"default\"\n\
         [[host.images]]\nname = \"bare\"\nkinds = [\"hvm\"]\nmemory_mib = 16\n"
    );
    let lab = LabFile::parse(&text, "bench")?;
    let entry = lab.hosts.first().ok_or("the lab of the bench has no host")?;
    Ok(LibvirtToolstack::new().connect(entry).await?)
}

/// Verbs a second.
async fn lives(host: &dyn Host) -> Result<f64, Error> {
    let started = Instant::now();
    for number in 0..GUESTS {
        let name = format!("ours-{number}");
        let spec = GuestSpec::new(name).image("bare").vif(VifSpec::on_default());
        let guest = host.define_guest(&spec).await?;
        guest.start().await?;
        guest.pause().await?;
        guest.unpause().await?;
        guest.shutdown(ShutdownMode::Hard).await?;
        guest.delete().await?;
    }
    Ok((GUESTS * VERBS) as f64 / started.elapsed().as_secs_f64())
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
