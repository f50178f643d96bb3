//! Sequence files: parsed, expanded and validated, against Python's minidom, which merely parses
//! them.

use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::{Duration, Instant};

use xenrt_core::sequence::{Mode, ReadOptions};

use super::{Error, Row, median};

/// Each measurement of ours goes on for so long, over and over the same files.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// Measures `rounds` times each, in turns, on one core.
pub(super) fn run(rounds: usize) -> Result<Vec<Row>, Error> {
    let files = files()?;
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let folder = tempfile::tempdir()?;
    for (index, (_, text)) in files.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{index:05}.seq")), text)?;
    }
    ours(&files, bytes)?;
    let (mut our, mut minidom) = (Vec::new(), Vec::new());
    let mut missing = None;
    for round in 0..rounds {
        let mut measure_peer = || match peer(folder.path(), bytes) {
            Ok(rate) => minidom.push(rate),
            Err(error) => missing = Some(error.to_string()),
        };
        if round % 2 == 0 {
            measure_peer();
            our.push(ours(&files, bytes)?);
        } else {
            our.push(ours(&files, bytes)?);
            measure_peer();
        }
    }
    let whole = minidom.len() == our.len();
    let ratios = our.iter().zip(&minidom).map(|(our, peer)| our / peer).collect();
    Ok(vec![Row {
        name: "seqfile".to_owned(),
        unit: "MB/s".to_owned(),
        ours: median(our),
        peer: "minidom".to_owned(),
        peer_value: whole.then(|| median(minidom)),
        ratio: whole.then(|| median(ratios)),
        note: match missing {
            Some(why) => format!("not measured: {why}"),
            None => format!(
                "{} files; the target is 15; ours also expands and validates them",
                files.len()
            ),
        },
    }])
}

/// Bytes (10^6) a second of one core.
fn ours(files: &[(String, String)], bytes: usize) -> Result<f64, Error> {
    let options = ReadOptions::new().mode(Mode::Compat);
    let started = Instant::now();
    let mut times = 0_u32;
    while started.elapsed() < LONG_ENOUGH {
        for (name, text) in files {
            let sequence = options.parse(text, name).map_err(|error| error.to_string())?;
            std::hint::black_box(&sequence);
        }
        times += 1;
    }
    Ok(bytes as f64 * f64::from(times) / started.elapsed().as_secs_f64() / 1e6)
}

/// The same of Python, without its start.
fn peer(folder: &Path, bytes: usize) -> Result<f64, Error> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/minidom_parse.py");
    let output = Program::new("python3").arg(script).arg(folder).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let seconds: f64 = printed.trim().parse().map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("minidom printed {:?} and {:?}", printed.trim(), errors.trim())
    })?;
    Ok(bytes as f64 / seconds / 1e6)
}

/// The original's files, where they are at hand (in `$XENRT_SEQUENCES`, or beside the checkout);
/// else files that are made like them.
fn files() -> Result<Vec<(String, String)>, Error> {
    let folder = std::env::var_os("XENRT_SEQUENCES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/sequences"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        return Ok((0..2000).map(|number| (format!("made-{number}.seq"), made(number))).collect());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seq") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    files.sort();
    Ok(files)
}

fn made(number: usize) -> String {
    let tests: String = (0..number % 20)
        .map(|test| {
            format!(
                "    <testcase id=\"guestops.srm.TCMigrate\" name=\"test-{test}\" tc=\"TC-{test}\">\n      \
                 <arg>guest=${{GUEST}}</arg>\n      <arg>loops=10</arg>\n    </testcase>\n"
            )
        })
        .collect();
    format!(
        "<xenrt>\n  <variables>\n    <PRODUCT_VERSION>Tampa</PRODUCT_VERSION>\n  </variables>\n  \
         <default name=\"GUEST\" value=\"linux\"/>\n  <prepare>\n    <pool>\n      <host id=\"0\"/>\n      \
         <storage type=\"nfs\" name=\"nfs1\" default=\"true\"/>\n      <vm name=\"linux\">\n        \
         <distro>debian60</distro>\n        <network device=\"0\"/>\n      </vm>\n    </pool>\n  \
         </prepare>\n  <testsequence>\n    <serial group=\"G\">\n{tests}    </serial>\n  \
         </testsequence>\n</xenrt>\n"
    )
}
