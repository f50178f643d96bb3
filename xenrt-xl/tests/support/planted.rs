//! A bug that is planted in dom0, for the exploration to find.

use std::sync::Arc;

use xenrt_core::explore::{Exploration, Verb, explore};
use xenrt_core::model::Host;
use xenrt_core::remote::{Command, ShellExt as _};

/// Stands before the real `xl` on dom0's search path: more vCPUs than one are promised and not given.
const WRAPPER: &str = "#!/bin/sh
if [ \"$1\" = vcpu-set ]; then
    for vcpus; do :; done
    [ \"$vcpus\" -le 1 ] || exit 0
fi
exec /usr/sbin/xl \"$@\"
";

pub(crate) async fn vcpus_above_one(host: Arc<dyn Host>) {
    const PLACE: &str = "/usr/local/sbin/xl";
    let dom0 = host.dom0();
    dom0.write_file(PLACE, WRAPPER.as_bytes(), 0o755).await.unwrap();
    let found_first = dom0.text(&Command::shell_line("command -v xl")).await.unwrap();
    assert_eq!(found_first, PLACE, "the search path of dom0 has another one first");

    // The seed of a program that comes upon it early, since each step takes a real host seconds.
    let exploration = Exploration::new(39, 60).guests(1).most_tries(40);
    let exploration = exploration.on_step(|number, step| eprintln!("{number}: {step}"));
    let found = explore(exploration, || async { Ok(vec![Arc::clone(&host)]) }).await.unwrap();
    println!("{found}");
    let failure = found.failure.expect("vCPUs above 1 are ignored");
    let steps = &failure.program.steps;
    assert!(steps.len() <= 4, "{} steps: {:?}", steps.len(), steps);
    let last = steps.last().map(|step| step.verb);
    assert!(matches!(last, Some(Verb::SetVcpus(2..))), "{last:?}");
    // As a test it names the verb too.
    let test = failure.program.to_test_case(found.seed, &failure.message, "tiny", failure.guests);
    assert!(test.contains("set_vcpus(") && test.contains("#[testcase("), "{test}");
    dom0.run(&Command::new("rm").arg(PLACE)).await.unwrap();
}
