//! The contract of hosts and guests as a suite, on hosts of the virtual lab, of yours, or on simulated ones.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use miette::{IntoDiagnostic, Report};
use xenrt::conformance::{Check, Cost, Profile, Suite, checks, mutants};
use xenrt::lab::{HostDemand, LabFile, LabProvider as _};
use xenrt::model::Host;
use xenrt::seconds::Readable;
use xenrt::sim::virtual_time;
use xenrt::virtual_lab::VirtualLabProvider;

/// Holds a toolstack against the contract of hosts and guests, one check a sentence.
///
/// Exit codes: 0 it conforms, 1 some checks failed (or a mutant survived), 2 bad usage or input.
#[derive(Parser)]
#[command(after_help = "Examples:
  conformance                                       real Xen hosts in the virtual lab (xl)
  conformance --sim                                 the simulated toolstack, in virtual time
  conformance --lab lab.toml --host rack1-a         a host of yours
  conformance --lab lab.toml --host a --second b    with a second one, for migration
  conformance --lab lab.toml --filter power. --filter memory. --junit out.xml
  conformance --mutants                             broken toolstacks, which the suite must turn red")]
struct Args {
    /// Run on the simulated toolstack
    #[arg(long, help_heading = "Where", conflicts_with_all = ["lab", "host", "second"])]
    sim: bool,

    /// Run on hosts of this lab file (TOML) instead of the virtual lab
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    lab: Option<PathBuf>,

    /// The host of the lab file; the first one where none is named
    #[arg(long, value_name = "NAME", help_heading = "Where", requires = "lab")]
    host: Option<String>,

    /// A second host of the lab file, for checks that move guests
    #[arg(long, value_name = "NAME", help_heading = "Where", requires = "lab")]
    second: Option<String>,

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
    #[arg(long, conflicts_with_all = ["sim", "lab"])]
    mutants: bool,

    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    junit: Option<PathBuf>,

    /// Write the profile of the toolstack as JSON to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    json: Option<PathBuf>,
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
    if args.mutants {
        return show_mutants();
    }
    if args.list {
        checks().for_each(list);
        return Ok(true);
    }
    let profile = match &args.lab {
        Some(lab) => xenrt::block_on(on_lab(args, lab)).into_diagnostic()??,
        None if !args.sim => xenrt::block_on(on_the_virtual_lab(args)).into_diagnostic()??,
        None => {
            let lab = mutants::lab().build();
            let suite = suite(args, lab.host(0), Some(lab.host(1)))?;
            virtual_time(suite.run()).into_diagnostic()?
        }
    };
    anstream::println!("\n{}", profile.summary());
    for object in &profile.left {
        anstream::println!("left on the host: {object}");
    }
    if let Some(path) = &args.junit {
        write(path, &profile.to_junit().into_diagnostic()?)?;
    }
    if let Some(path) = &args.json {
        write(path, &profile.to_json().into_diagnostic()?)?;
    }
    Ok(profile.conforms())
}

/// Two hosts, so that guests can be moved. They end with this program, however it ends.
async fn on_the_virtual_lab(args: &Args) -> miette::Result<Profile> {
    let lab = VirtualLabProvider::new();
    let demands =
        ["0", "1"].map(|name| HostDemand { name: name.to_owned(), ..HostDemand::default() });
    let note = |note: xenrt::lab::LabNote| anstream::eprintln!("{}", note.message);
    let mut hosts = lab.acquire(&demands, &note).await.into_diagnostic()?.into_iter();
    let host = hosts.next().ok_or_else(|| Report::msg("the virtual lab gave no host"))?;
    let profile = suite(args, host, hosts.next())?.run().await;
    lab.release().await.into_diagnostic()?;
    Ok(profile)
}

async fn on_lab(args: &Args, path: &Path) -> miette::Result<Profile> {
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
    Ok(suite(args, host, second)?.run().await)
}

fn suite(args: &Args, host: Arc<dyn Host>, second: Option<Arc<dyn Host>>) -> miette::Result<Suite> {
    let cost = match args.cost.as_str() {
        "quick" => Cost::Quick,
        "boots" => Cost::Boots,
        _ => Cost::Slow,
    };
    let mut suite = Suite::new(host).cost_at_most(cost).at_once(args.at_once);
    if let Some(second) = second {
        suite = suite.second_host(second);
    }
    if let Some(image) = &args.image {
        suite = suite.image(image);
    }
    for filter in &args.filter {
        suite = suite.filter(filter);
    }
    if suite.chosen().is_empty() {
        return Err(Report::msg("no check has such a name; see --list"));
    }
    let width = suite.chosen().iter().map(|check| check.name.len()).max().unwrap_or(0);
    Ok(suite.on_result(move |result| {
        let time = Readable(result.seconds.0).to_string();
        let verdict = result.verdict.name();
        let told = match result.verdict.message() {
            "" => &result.proves,
            message => message,
        };
        anstream::println!("{verdict:<8} {time:>11}  {:<width$}  {told}", result.name);
    }))
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
