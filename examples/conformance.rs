//! The contract of hosts and guests as a suite, on hosts of the virtual lab, of yours, or on simulated ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use futures::stream::{self, StreamExt as _};
use miette::{IntoDiagnostic, Report};
use xenrt::conformance::{Check, Cost, Profile, Suite, Verdict, checks, mutants};
use xenrt::lab::{HostDemand, LabFile};
use xenrt::model::Host;
use xenrt::seconds::Readable;
use xenrt::sequencer::{CancelHandle, cancel_on_ctrl_c};
use xenrt::sim::virtual_time;
use xenrt_examples::{Place, PlaceArgs};

/// Holds a toolstack against the contract of hosts and guests, one check a sentence.
///
/// Exit codes: 0 it conforms, 1 some checks failed (or a mutant survived), 2 bad usage or input,
/// 130 cancelled.
#[derive(Parser)]
#[command(after_help = "Examples:
  conformance                                       real Xen hosts in the virtual lab (xl)
  conformance --sim                                 the simulated toolstack, in virtual time
  conformance --on sim,libvirt-test,libvirt-qemu,xl,libvirt-xen   every toolstack that needs no hardware
  conformance --lab lab.toml --host rack1-a         a host of yours
  conformance --lab lab.toml --host a --second b    with a second one, for migration
  conformance --lab lab.toml --filter power. --filter memory. --junit out.xml
  conformance --mutants                             broken toolstacks, which the suite must turn red")]
struct Args {
    /// Run on the simulated toolstack: the same as --on sim
    #[arg(long, help_heading = "Where", conflicts_with_all = ["lab", "host", "second", "on"])]
    sim: bool,

    /// Where the hosts come from.
    #[command(flatten)]
    place: PlaceArgs,

    /// The host of the lab file; the first one where none is named
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Where",
        requires = "lab",
        conflicts_with = "on"
    )]
    host: Option<String>,

    /// A second host of the lab file, for checks that move guests
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Where",
        requires = "lab",
        conflicts_with = "on"
    )]
    second: Option<String>,

    /// Run in all places of --on at the same time instead of one after the other
    #[arg(long, help_heading = "Where", requires = "on")]
    together: bool,

    /// The guest image; the first one of the host where none is named
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    image: Option<String>,

    /// Only checks with this text in their name (may be repeated)
    #[arg(long, value_name = "TEXT", help_heading = "Which checks")]
    filter: Vec<String>,

    /// Only checks that cost no more than this
    #[arg(long, value_name = "COST", default_value = "slow", help_heading = "Which checks",
        value_parser = ["quick", "boots", "slow"])]
    cost: String,

    /// So many checks at once; what one of several leaves behind is told when all have ended
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Which checks")]
    at_once: usize,

    /// List the checks and what they prove, and stop
    #[arg(long, help_heading = "Which checks")]
    list: bool,

    /// Hold the suite against broken toolstacks, each of which it must turn red
    #[arg(long, conflicts_with_all = ["sim", "lab", "on"])]
    mutants: bool,

    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    junit: Option<PathBuf>,

    /// Write the profile of the toolstack as JSON to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cancel = CancelHandle::new();
    match run(&Args::parse(), &cancel) {
        Ok(_) if cancel.is_cancelled() => ExitCode::from(130),
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args, cancel: &CancelHandle) -> miette::Result<bool> {
    if args.mutants {
        return show_mutants();
    }
    // Before a host is made for them.
    let chosen = chosen(args)?;
    if args.list {
        chosen.into_iter().for_each(list);
        return Ok(true);
    }
    let places = if args.sim { vec![Place::Sim] } else { args.place.places()? };
    let several = places.len() > 1;
    let mut profiles: Vec<(Place, miette::Result<Profile>)> = Vec::new();
    // Virtual time has a runtime of its own.
    for place in places.iter().filter(|place| **place == Place::Sim) {
        profiles.push((place.clone(), simulated(args, several)));
    }
    let real: Vec<&Place> = places.iter().filter(|place| **place != Place::Sim).collect();
    let at_once = if args.together { real.len().max(1) } else { 1 };
    let runs = real
        .into_iter()
        .map(|place| async move { (place.clone(), on_place(args, place, several, cancel).await) });
    let runs = async {
        cancel_on_ctrl_c(cancel).into_diagnostic()?;
        tokio::select! {
            profiles = stream::iter(runs).buffered(at_once).collect::<Vec<_>>() => Ok(profiles),
            () = cancel.hard() => Err(Report::msg("ended at once: guests may be left")),
        }
    };
    profiles.extend(xenrt::block_on(runs).into_diagnostic()??);
    profiles.sort_by_key(|(place, _)| places.iter().position(|own| own == place));

    let mut conforms = true;
    let mut broken = None;
    for (place, profile) in profiles {
        match profile {
            Ok(profile) => {
                conforms &= profile.conforms();
                show(args, &place, &profile, several)?;
            }
            Err(error) if !several => return Err(error),
            Err(error) => {
                anstream::eprintln!("{place}: {error:?}");
                broken = Some(Report::msg("not every place could be tried"));
            }
        }
    }
    broken.map_or(Ok(conforms), Err)
}

/// What a place turned out to be: its counts, what is red, and why abilities are absent.
fn show(args: &Args, place: &Place, profile: &Profile, several: bool) -> miette::Result<()> {
    anstream::println!("\n{}", profile.summary());
    for check in profile.red() {
        anstream::println!(
            "  {:<8} {}: {}",
            check.verdict.name(),
            check.name,
            check.verdict.message()
        );
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for check in &profile.checks {
        if let Verdict::AbilityAbsent(reason) = &check.verdict {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    for (reason, count) in reasons {
        anstream::println!("  absent   {count} checks: {reason}");
    }
    for object in &profile.left {
        anstream::println!("left on the host: {object}");
    }
    // Each place has a file of its own: out.xml becomes out-xl.xml.
    let own = |path: &Path| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let end = path.extension().map(|end| format!(".{}", end.to_string_lossy()));
        let name = format!("{stem}-{place}{}", end.unwrap_or_default());
        if several { path.with_file_name(name) } else { path.to_owned() }
    };
    if let Some(path) = &args.junit {
        write(&own(path), &profile.to_junit().into_diagnostic()?)?;
    }
    if let Some(path) = &args.json {
        write(&own(path), &profile.to_json().into_diagnostic()?)?;
    }
    Ok(())
}

fn simulated(args: &Args, several: bool) -> miette::Result<Profile> {
    let lab = mutants::lab().build();
    let suite = suite(args, &Place::Sim, several, lab.host(0), Some(lab.host(1)))?;
    virtual_time(suite.run()).into_diagnostic()
}

/// Two hosts where there are two, so that guests can be moved. Hosts that are not of a lab file end
/// with this program, however it ends.
async fn on_place(
    args: &Args,
    place: &Place,
    several: bool,
    cancel: &CancelHandle,
) -> miette::Result<Profile> {
    if cancel.is_cancelled() {
        return Err(Report::msg("not tried: cancelled"));
    }
    if *place == Place::LabFile {
        return on_lab(args, several, cancel).await;
    }
    let provider = args.place.provider_of(place, false)?;
    // libvirt's driver for tests has one host, and a host of a lab file is the one that was named.
    let count = if matches!(place, Place::LibvirtTest | Place::LabHost(_)) { 1 } else { 2 };
    let demands: Vec<HostDemand> = (0..count)
        .map(|number| HostDemand { name: number.to_string(), ..HostDemand::default() })
        .collect();
    let note = |note: xenrt::lab::LabNote| anstream::eprintln!("{}", note.message);
    let acquired = provider.acquire(&demands, &note).await.into_diagnostic();
    let profile = match acquired.map(Vec::into_iter) {
        Ok(mut hosts) => {
            let host = hosts.next().ok_or_else(|| Report::msg("the lab gave no host"))?;
            let suite = suite(args, place, several, host, hosts.next());
            match suite {
                Ok(suite) => Ok(suite.cancelled_by(cancel.clone()).run().await),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    // What was found out is told all the same.
    if let Err(error) = provider.release().await {
        anstream::eprintln!("{place}: {:?}", Report::msg(error.to_string()));
    }
    profile
}

async fn on_lab(args: &Args, several: bool, cancel: &CancelHandle) -> miette::Result<Profile> {
    let path = args.place.lab.as_deref().unwrap_or(Path::new(""));
    let lab = LabFile::read(path).into_diagnostic()?;
    let toolstacks = xenrt_examples::toolstacks();
    let known = || lab.hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(", ");
    let connect = async |name: Option<&str>| -> miette::Result<Arc<dyn Host>> {
        let wanted = |entry: &&xenrt::lab::HostEntry| name.is_none_or(|name| name == entry.name);
        let entry = lab.hosts.iter().find(wanted).ok_or_else(|| {
            let name = name.unwrap_or_default();
            Report::msg(format!("the lab file has no host {name:?}; it has {}", known()))
        })?;
        let toolstack = toolstacks.iter().find(|own| own.name() == entry.toolstack);
        let toolstack = toolstack.ok_or_else(|| {
            Report::msg(format!("this program does not know the toolstack {:?}", entry.toolstack))
        })?;
        toolstack.connect(entry).await.into_diagnostic()
    };
    let host = connect(args.host.as_deref()).await?;
    let second = match args.second.as_deref() {
        Some(name) => Some(connect(Some(name)).await?),
        None => None,
    };
    let suite = suite(args, &Place::LabFile, several, host, second)?;
    Ok(suite.cancelled_by(cancel.clone()).run().await)
}

fn suite(
    args: &Args,
    place: &Place,
    several: bool,
    host: Arc<dyn Host>,
    second: Option<Arc<dyn Host>>,
) -> miette::Result<Suite> {
    let mut suite = Suite::new(host).cost_at_most(dearest(args)).at_once(args.at_once);
    if let Some(second) = second {
        suite = suite.second_host(second);
    }
    if let Some(image) = &args.image {
        suite = suite.image(image);
    }
    for filter in &args.filter {
        suite = suite.filter(filter);
    }
    let before = if several { format!("{place:<12} ") } else { String::new() };
    let width = suite.chosen().iter().map(|check| check.name.len()).max().unwrap_or(0);
    Ok(suite.on_result(move |result| {
        let time = Readable(result.seconds.0).to_string();
        let verdict = result.verdict.name();
        let told = match result.verdict.message() {
            "" => &result.proves,
            message => message,
        };
        anstream::println!("{before}{verdict:<8} {time:>11}  {:<width$}  {told}", result.name);
    }))
}

fn dearest(args: &Args) -> Cost {
    match args.cost.as_str() {
        "quick" => Cost::Quick,
        "boots" => Cost::Boots,
        _ => Cost::Slow,
    }
}

/// The checks that were asked for, at least one.
fn chosen(args: &Args) -> miette::Result<Vec<&'static Check>> {
    let named = |check: &&Check| {
        args.filter.is_empty() || args.filter.iter().any(|text| check.name.contains(text))
    };
    let chosen: Vec<_> =
        checks().filter(named).filter(|check| check.cost <= dearest(args)).collect();
    if chosen.is_empty() {
        return Err(Report::msg(format!(
            "no check has {} in its name and costs no more than {:?}; see --list",
            args.filter.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" or "),
            args.cost
        )));
    }
    Ok(chosen)
}

fn list(check: &Check) {
    let needs: Vec<_> = check.needs.iter().map(|need| need.name()).collect();
    let mut notes = vec![check.cost.name().to_owned()];
    if check.hosts > 1 {
        notes.push(format!("{} hosts", check.hosts));
    }
    if !needs.is_empty() {
        notes.push(format!("needs {}", needs.join(", ")));
    }
    anstream::println!("{:<34} {} ({})", check.name, check.proves, notes.join("; "));
}

fn show_mutants() -> miette::Result<bool> {
    let killings = mutants::kill_all().into_diagnostic()?;
    for killing in &killings {
        anstream::println!("{killing}");
        anstream::println!("          {}", killing.mutant.defect);
    }
    let killed = killings.iter().filter(|killing| killing.as_meant()).count();
    anstream::println!("\n{killed} of {} mutants killed", killings.len());
    Ok(killed == killings.len())
}

fn write(path: &Path, text: &str) -> miette::Result<()> {
    std::fs::write(path, text)
        .map_err(|error| Report::msg(format!("cannot write {}: {error}", path.display())))
}
