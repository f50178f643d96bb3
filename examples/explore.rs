//! Random programs of verbs on hosts of yours or on simulated ones, shrunk when something is wrong.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use miette::{IntoDiagnostic, Report};
use xenrt::explore::{Exploration, Found, explore};
use xenrt::lab::LabFile;
use xenrt::model::Host;
use xenrt::sim::{Defect, SimLab, SimTiming, virtual_time};

/// Draws a program of legal verbs over several guests, runs it, and looks at every view after each
/// step. What fails is shortened and printed as a test case.
///
/// Exit codes: 0 nothing wrong, 1 something was found, 2 bad usage or input.
#[derive(Parser)]
#[command(after_help = "Examples:
  explore --sim --steps 2000 --seed 7
  explore --sim --defect VcpusIgnoredAboveOne      find a planted bug
  explore --lab lab.toml --steps 300               on all hosts of a lab file")]
struct Args {
    /// Explore simulated hosts, in virtual time
    #[arg(long, conflicts_with = "lab")]
    sim: bool,

    /// Explore the hosts of this lab file (TOML), which must be of one toolstack
    #[arg(long, value_name = "FILE", required_unless_present = "sim")]
    lab: Option<PathBuf>,

    /// What the program is drawn from; a seed repeats its program
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How many steps are drawn
    #[arg(long, default_value_t = 300)]
    steps: usize,

    /// Over how many guests
    #[arg(long, default_value_t = 3)]
    guests: usize,

    /// The guest image; the first one of the host where none is named
    #[arg(long, value_name = "NAME")]
    image: Option<String>,

    /// Plant this bug in the simulated toolstack
    #[arg(long, value_name = "DEFECT", requires = "sim")]
    defect: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> miette::Result<bool> {
    let mut exploration = Exploration::new(args.seed, args.steps).guests(args.guests);
    if let Some(image) = &args.image {
        exploration = exploration.image(image);
    }
    let started = Instant::now();
    let found = match &args.lab {
        Some(lab) => xenrt::block_on(on_lab(exploration, lab)).into_diagnostic()??,
        None => simulated(args, exploration)?,
    };
    let seconds = started.elapsed().as_secs_f64();
    anstream::print!("{found}");
    let Some(failure) = &found.failure else {
        anstream::println!("{:.0} steps/s", found.steps as f64 / seconds);
        return Ok(true);
    };
    let image = args.image.as_deref().unwrap_or("generic-linux");
    let test = failure.program.to_test_case(found.seed, &failure.message, image);
    anstream::println!("\nas a test case:\n\n{test}");
    Ok(false)
}

fn simulated(args: &Args, exploration: Exploration) -> miette::Result<Found> {
    let defect = args.defect.as_deref().map(|name| {
        let known = Defect::ALL.iter().find(|defect| format!("{defect:?}") == name);
        known.copied().ok_or_else(|| {
            let names: Vec<String> = Defect::ALL.iter().map(|own| format!("{own:?}")).collect();
            Report::msg(format!("there is no defect {name:?}; there are {}", names.join(", ")))
        })
    });
    let defect = defect.transpose()?;
    // Each program has a lab of its own; connections are cut in the one that is in use.
    let current = Arc::new(std::sync::Mutex::new(SimLab::new()));
    let in_use = Arc::clone(&current);
    let exploration = exploration.cutting_connections(move |host| {
        let lab = in_use.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The name is that of a host that the lab gave out.
        let _ = lab.cut_connection(host, Duration::from_secs(20));
    });
    let hosts = || async {
        let builder = SimLab::builder().timing(SimTiming::realistic());
        let lab = defect.iter().fold(builder, |lab, defect| lab.defect(*defect)).build();
        let hosts = lab.hosts();
        *current.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = lab;
        Ok(hosts)
    };
    virtual_time(explore(exploration, hosts)).into_diagnostic()?.into_diagnostic()
}

async fn on_lab(exploration: Exploration, path: &Path) -> miette::Result<Found> {
    let lab = LabFile::read(path).into_diagnostic()?;
    let toolstacks = xenrt_examples::toolstacks();
    let mut hosts: Vec<Arc<dyn Host>> = Vec::new();
    for entry in &lab.hosts {
        let toolstack = toolstacks.iter().find(|own| own.name() == entry.toolstack);
        let toolstack = toolstack.ok_or_else(|| {
            Report::msg(format!("this program does not know the toolstack {:?}", entry.toolstack))
        })?;
        hosts.push(toolstack.connect(entry).await.into_diagnostic()?);
    }
    explore(exploration, || async { Ok(hosts.clone()) }).await.into_diagnostic()
}
