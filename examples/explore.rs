//! Random programs of verbs on hosts of yours or on simulated ones, shrunk when something is wrong.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use miette::{IntoDiagnostic, Report};
use xenrt::explore::{Exploration, Found, explore};
use xenrt::lab::HostDemand;
use xenrt::model::{GuestKind, Host};
use xenrt::sequencer::{CancelHandle, cancel_on_ctrl_c};
use xenrt::sim::{Defect, SimLab, SimTiming, virtual_time};
use xenrt_examples::{Place, PlaceArgs};

/// Draws a program of legal verbs over several guests, runs it, and looks at every view after each
/// step. What fails is shortened and printed as a test case.
///
/// Exit codes: 0 nothing wrong, 1 something was found, 2 bad usage or input, 130 cancelled.
#[derive(Parser)]
#[command(after_help = "Examples:
  explore --sim --steps 2000 --seed 7
  explore --sim --defect VcpusIgnoredAboveOne      find a planted bug
  explore --on libvirt-qemu,xl --steps 300         real hosts that need no hardware, one after the other
  explore --lab lab.toml --steps 300               on all hosts of a lab file")]
struct Args {
    /// Explore simulated hosts, in virtual time: the same as --on sim
    #[arg(long, conflicts_with_all = ["lab", "on"], help_heading = "Where")]
    sim: bool,

    /// Where the hosts come from; all those of a lab file are of one toolstack.
    #[command(flatten)]
    place: PlaceArgs,

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

    /// The kind of the guests: pv, pvh or hvm; one that can be moved where there are two hosts
    ///
    /// Where QEMU emulates Xen's host, pvh guests now and then end with a triple fault while they boot, which
    /// is found as if it were the toolstack's: take pv there.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<GuestKind>,

    /// Plant this bug in the simulated toolstack
    #[arg(long, value_name = "DEFECT")]
    defect: Option<String>,
}

fn kind(text: &str) -> Result<GuestKind, String> {
    match text {
        "pv" => Ok(GuestKind::Pv),
        "pvh" => Ok(GuestKind::Pvh),
        "hvm" => Ok(GuestKind::Hvm),
        _ => Err("there are pv, pvh and hvm".to_owned()),
    }
}

fn main() -> ExitCode {
    let cancel = CancelHandle::new();
    match run(&Args::parse(), &cancel) {
        Ok(false) => ExitCode::FAILURE,
        Ok(true) if cancel.is_cancelled() => ExitCode::from(130),
        Ok(true) => ExitCode::SUCCESS,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args, cancel: &CancelHandle) -> miette::Result<bool> {
    let places = if args.sim { vec![Place::Sim] } else { args.place.places()? };
    if args.defect.is_some() && places != [Place::Sim] {
        return Err(Report::msg("--defect plants a bug in the simulated toolstack: --sim"));
    }
    let mut fine = true;
    for place in &places {
        if cancel.is_cancelled() {
            break;
        }
        if places.len() > 1 {
            anstream::println!("on {place}:");
        }
        fine &= run_in(args, place, cancel)?;
    }
    Ok(fine)
}

fn run_in(args: &Args, place: &Place, cancel: &CancelHandle) -> miette::Result<bool> {
    let exploration = Exploration::new(args.seed, args.steps).guests(args.guests);
    let mut exploration = exploration.cancelled_by(cancel.clone());
    if let Some(image) = &args.image {
        exploration = exploration.image(image);
    }
    if let Some(kind) = args.kind {
        exploration = exploration.kind(kind);
    }
    let started = Instant::now();
    let found = match place {
        Place::Sim => simulated(args, exploration)?,
        place => {
            let terminal = std::io::stderr().is_terminal();
            // A log keeps each step: the last one is where it hangs.
            let exploration = exploration.on_step(move |number, step| match terminal {
                true => anstream::eprint!("\r\x1b[K{number}: {step}"),
                false => anstream::eprintln!("{number}: {step}"),
            });
            let exploration = exploration.on_failure(move |number, message| {
                let line = if terminal { "\r\x1b[K" } else { "" };
                anstream::eprintln!(
                    "{line}{number}: wrong: {message}\nlooking for a shorter program"
                );
            });
            let found = xenrt::block_on(async {
                cancel_on_ctrl_c(cancel).into_diagnostic()?;
                tokio::select! {
                    found = on_place(args, place, exploration) => found,
                    () = cancel.hard() => Err(Report::msg("ended at once: guests may be left")),
                }
            })
            .into_diagnostic()?;
            if terminal {
                anstream::eprint!("\r\x1b[K");
            }
            found?
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    anstream::print!("{found}");
    let Some(failure) = &found.failure else {
        anstream::println!("{:.3} steps/s", found.steps as f64 / seconds);
        return Ok(true);
    };
    let image = args.image.as_deref().unwrap_or("generic-linux");
    let test = failure.program.to_test_case(found.seed, &failure.message, image, failure.guests);
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

/// Real hosts: the same for each program, which removes what it made.
async fn on_place(args: &Args, place: &Place, exploration: Exploration) -> miette::Result<Found> {
    let provider = args.place.provider_of(place, false)?;
    let count = match place {
        Place::LibvirtTest => 1,
        Place::LabFile | Place::LabHost(_) => provider.machines().unwrap_or(1),
        _ => 2,
    };
    let demands: Vec<HostDemand> = (0..count)
        .map(|number| HostDemand { name: number.to_string(), ..HostDemand::default() })
        .collect();
    let note = |note: xenrt::lab::LabNote| anstream::eprintln!("{}", note.message);
    let hosts: miette::Result<Vec<Arc<dyn Host>>> =
        provider.acquire(&demands, &note).await.into_diagnostic();
    let found = match hosts {
        Ok(hosts) => {
            let exploration = cutting_connections(exploration, &hosts);
            explore(exploration, || async { Ok(hosts.clone()) }).await.into_diagnostic()
        }
        Err(error) => Err(error),
    };
    provider.release().await.into_diagnostic()?;
    found
}

/// The shell of a host that is cut makes its next connection by itself.
fn cutting_connections(exploration: Exploration, hosts: &[Arc<dyn Host>]) -> Exploration {
    let shells: Vec<_> = hosts.iter().map(|host| (host.name().to_owned(), host.dom0())).collect();
    exploration.cutting_connections(move |name| {
        for (_, shell) in shells.iter().filter(|(own, _)| own == name) {
            let shell = Arc::clone(shell);
            tokio::spawn(async move { shell.reset().await });
        }
    })
}
