//! What `#[testcase]` knows by itself is what the library knows.

use xenrt::model::Ability;
use xenrt::prelude::*;
use xenrt::testcase::{FromArg, Registry};

macro_rules! test_case {
    ($name:ident, $($attribute:tt)*) => {
        /// Is only looked at.
        #[testcase($($attribute)*)]
        struct $name;

        #[async_trait]
        impl TestCase for $name {
            async fn prepare(_: &TestContext) -> Result<Self> {
                Ok(Self)
            }

            async fn run(&mut self, _: &TestContext) -> Result {
                Ok(())
            }
        }
    };
}

test_case!(
    Abilities,
    id = "macros.abilities",
    requires(
        pv,
        pvh,
        hvm,
        suspend,
        save,
        live_migration,
        vcpu_hotplug,
        memory_hotplug,
        disk_hotplug,
        vif_hotplug,
        rename_running,
        snapshots,
        console_log,
        networks,
        pool,
        storage,
        templates,
        interfaces
    )
);
test_case!(Short, id = "macros.500ms", timeout = "500ms");
test_case!(Medium, id = "macros.90s", timeout = "90s");
test_case!(Long, id = "macros.1h-30m", timeout = "1h 30m");

#[test]
fn every_ability_can_be_required() {
    let registry = Registry::global().unwrap();
    let test = registry.find("macros.abilities").unwrap();
    assert_eq!(test.requires.abilities, Ability::ALL);
}

#[test]
fn a_timeout_and_an_argument_of_the_same_text_are_the_same_time() {
    let registry = Registry::global().unwrap();
    for text in ["500ms", "90s", "1h 30m"] {
        let test = registry.find(&format!("macros.{}", text.replace(' ', "-"))).unwrap();
        assert_eq!(test.timeout, Duration::from_arg(text).ok(), "{text}");
    }
}
