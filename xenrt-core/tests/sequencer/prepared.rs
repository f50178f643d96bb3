//! What a sequence prepares on simulated hosts: networks of a lab, storage, templates, pools, hosts
//! that are shared, all hosts.

use std::sync::Arc;

use xenrt_core::lab::{LabFile, LabProvider};
use xenrt_core::model::{Ability, HostAddressing, PowerState};
use xenrt_core::sequence::Sequence;
use xenrt_core::sequencer::{CancelHandle, EventKind, ExitCode, Plan, RunOptions};
use xenrt_core::sim::{Fault, SimCall, SimLab, SimLabBuilder};
use xenrt_core::testcase::{Registry, TestDescriptor};
use xenrt_core::{Error, ToolstackErrorKind};

use crate::support::{Outline, run_sequence};

/// What the lab file says of each host of the simulated labs here.
const WIRING: &str = r#"
vlans = { VR01 = 101, VR02 = 102 }
private_vlans = [3001, 3002]
nics = [
    { device = "eth0", network = "NPRI" },
    { device = "eth1", network = "NSEC", speed = "10G", address = "10.2.0.NUMBER/24" },
    { device = "eth2", network = "NSEC", speed = "1G" },
    { device = "eth3", network = "IPRI" },
    { device = "eth4", network = "IPRI" },
]
storage = [
    { source = { nfs = { server = "10.0.0.9", path = "/export" } } },
    { source = { nfs = { server = "10.0.0.8", path = "/fast" } }, network = "NSEC" },
    { name = "LUN1", source = { iscsi = { target = "10.0.0.7", iqn = "iqn.a", scsi_id = "1" } } },
    { source = { ext = { device = "/dev/sdb" } } },
]
"#;

fn builder(hosts: usize) -> SimLabBuilder {
    let builder = SimLab::builder().hosts(0);
    (0..hosts).fold(builder, |builder, number| {
        let wiring = WIRING.replace("NUMBER", &(number + 11).to_string());
        let text = format!(
            "[[host]]\nname = \"h{number}\"\naddress = \"sim\"\ntoolstack = \"sim\"\n{wiring}"
        );
        builder.host(LabFile::parse(&text, "lab.toml").unwrap().hosts.remove(0))
    })
}

fn sequence(prepare: &str, tests: &str) -> Sequence {
    let text = format!(
        "<xenrt>\n<prepare>{prepare}</prepare>\n<testsequence>{tests}</testsequence>\n</xenrt>\n"
    );
    xenrt_core::sequence::parse(&text, "made.seq").unwrap()
}

async fn run(
    lab: &SimLab,
    tests: Vec<TestDescriptor>,
    prepare: &str,
    steps: &str,
    change: impl FnOnce(&mut RunOptions),
) -> Outline {
    let provider = Arc::new(lab.clone());
    run_sequence(tests, &sequence(prepare, steps), CancelHandle::new(), |options| {
        options.provider = Some(provider);
        change(options);
    })
    .await
}

/// The steps, with how they ended where that was not well, and what was undone.
fn steps(outline: &Outline) -> Vec<String> {
    outline.shown(|what| match what {
        EventKind::PrepareFinished { step, error: None, .. } => Some(step.clone()),
        EventKind::PrepareFinished { step, error: Some(error), .. } => {
            Some(format!("{step} FAILED: {error}"))
        }
        EventKind::Undone { undo, error: None, .. } => Some(format!("undone: {undo}")),
        EventKind::Undone { undo, error: Some(error), .. } => {
            Some(format!("NOT undone: {undo}: {error}"))
        }
        _ => None,
    })
}

async fn passes(lab: &SimLab, tests: Vec<TestDescriptor>, prepare: &str) -> Outline {
    let before = lab.everything().await;
    let id = tests[0].id;
    let step = format!("<testcase id={id:?}/>");
    let outline = run(lab, tests, prepare, &step, |_| {}).await;
    assert_eq!(
        outline.report.exit_code,
        ExitCode::AllPassed,
        "{:?}\n{:#?}",
        outline.outcomes(),
        steps(&outline)
    );
    assert_eq!(lab.everything().await, before, "something is left");
    outline
}

#[tokio::test]
async fn a_topology_uses_the_interfaces_that_the_lab_names() {
    let test = case!("t.wired", |cx| {
        let host = cx.default_host()?;
        let interfaces = host.interfaces()?;
        let fast = interfaces.of_network("NET_A").await?;
        assert_eq!((fast.device.as_str(), fast.mtu), ("eth1", 9000));
        let own = HostAddressing::Static("10.2.0.11/24".parse()?);
        assert_eq!(fast.addressing, own);
        assert_eq!(interfaces.of_network("IPRI").await?.device, "bond0");
        let vlan = interfaces.of_network("VR02").await?;
        assert_eq!((vlan.device.as_str(), vlan.addressing), ("bond0.102", HostAddressing::Dhcp));
        assert_eq!(interfaces.of_network("mine").await?.device, "eth0.3001");
        let on = |name: &str| {
            let guest = cx.guest(name);
            async move { Ok::<_, Error>(guest?.view().await?.vifs[0].network.clone()) }
        };
        assert_eq!(on("fast").await?, "NET_A");
        assert_eq!(on("sec").await?, "NET_A");
        assert_eq!(on("tagged").await?, "VR02");
        assert_eq!(on("private").await?, "mine");
        assert_eq!(on("pri").await?, "simbr0");
        Ok(())
    });
    let prepare = r#"
        <vlan name="CLIENT_VLAN"/>
        <host id="0">
          <NETWORK>
            <PHYSICAL network="NPRI"><NIC/><MANAGEMENT/>
              <VLAN network="CLIENT_VLAN" name="mine"><VMS/></VLAN>
            </PHYSICAL>
            <PHYSICAL network="NSEC" name="NET_A" speed="10G" jumbo="yes">
              <NIC/><STORAGE mode="static"/><VMS/>
            </PHYSICAL>
            <PHYSICAL network="IPRI" bond-mode="active-backup"><NIC/><NIC/>
              <VLAN network="VR02"><STORAGE/></VLAN>
            </PHYSICAL>
          </NETWORK>
          <vm name="fast"><network device="0" bridge="NET_A"/></vm>
          <vm name="sec"><network device="0" bridge="NSEC"/></vm>
          <vm name="tagged"><network device="0" bridge="VR02"/></vm>
          <vm name="private"><network device="0" bridge="CLIENT_VLAN"/></vm>
          <vm name="pri"><network device="0" bridge="NPRI"/></vm>
        </host>"#;
    let outline = passes(&builder(1).build(), vec![test], prepare).await;
    let told = steps(&outline);
    assert_eq!(told[..3], ["hosts", "VLANs", "networks of h0"]);
}

#[tokio::test]
async fn what_the_lab_has_not_is_named_with_the_step_and_the_line() {
    let cases = [
        (
            r#"<host><NETWORK><PHYSICAL network="NSEC" speed="40G"><NIC/></PHYSICAL></NETWORK></host>"#,
            "networks of h0 (made.seq:2): host \"h0\" has not enough interfaces of 40000 Mbit/s at \
             least on NSEC in the lab: 0 of 1 are there",
        ),
        (
            r#"<host><NETWORK><PHYSICAL network="NSEC"><NIC/><VLAN network="VR09"/></PHYSICAL></NETWORK></host>"#,
            "the lab does not say the tag of the VLAN VR09 on host \"h0\"",
        ),
        (
            r#"<host><storage type="lvmoiscsi" name="a"/><storage type="lvmoiscsi" name="b"/></host>"#,
            "storage b on h0 (made.seq:2): the lab has 1, and all are in use of type lvmoiscsi",
        ),
        (
            r#"<host><storage type="lvmoiscsi" name="a" options="LUN7"/></host>"#,
            "the lab has none of type lvmoiscsi called \"LUN7\" on NPRI",
        ),
        (
            r#"<vlan name="a"/><vlan name="b"/><vlan name="c"/><host/>"#,
            "VLANs (made.seq:2): the sequence needs 3 VLANs of its own, and 2 tags are free",
        ),
    ];
    for (prepare, expected) in cases {
        let lab = builder(1).build();
        let tests = vec![case!("t.pass", |_cx| { Ok(()) })];
        let outline = run(&lab, tests, prepare, "<testcase id=\"t.pass\"/>", |_| {}).await;
        let outcomes = outline.outcomes().join("\n");
        assert!(outcomes.contains(expected), "{outcomes}");
        assert_eq!(outline.report.exit_code, ExitCode::PreparationFailed);
        assert!(lab.everything().await.objects.is_empty(), "{:?}", lab.everything().await);
    }
}

#[tokio::test]
async fn a_toolstack_that_cannot_is_told_before_anything_is_built() {
    let lab = builder(2)
        .without(Ability::Storage, "it has none")
        .without(Ability::Pool, "it is alone")
        .build();
    lab.record_calls(true);
    let prepare = "<pool><host id=\"0\"><bridge name=\"b\"/></host><host id=\"1\"/>\n\
                   <storage type=\"nfs\" name=\"n\"/></pool>";
    let tests = vec![case!("t.pass", |_cx| { Ok(()) })];
    let outline = run(&lab, tests, prepare, "<testcase id=\"t.pass\"/>", |_| {}).await;
    assert_eq!(
        outline.outcomes(),
        ["pass: blocked: preparation failed: <pool> RESOURCE_POOL_0 cannot be made on h0 \
          (made.seq:2): pool is not supported by sim: it is alone; <pool> RESOURCE_POOL_0 cannot be \
          made on h1 (made.seq:2): pool is not supported by sim: it is alone; <storage name=\"n\"> \
          cannot be made on h0 (made.seq:3): storage is not supported by sim: it has none"]
    );
    assert!(!lab.take_calls().iter().any(|call| call.contains("DefineNetwork")));
}

#[tokio::test]
async fn storage_is_made_of_what_the_lab_has_and_guests_are_on_it() {
    let test = case!("t.stored", |cx| {
        let host = cx.default_host()?;
        let storages = host.storages()?;
        let id = |name: &'static str| {
            let storages = Arc::clone(&storages);
            async move { Ok::<_, Error>(storages.find(name).await?.id) }
        };
        let default = storages.default_storage().await?.map(|own| own.name);
        assert_eq!(default.as_deref(), Some("shared"));
        for (guest, storage) in
            [("a", "lun"), ("b", "shared"), ("c", "fast"), ("d", "shared"), ("e", "lun")]
        {
            let disks = cx.guest(guest)?.view().await?.disks;
            let id = id(storage).await?;
            assert!(disks.iter().all(|disk| disk.path.contains(&id)), "{guest}: {disks:?}");
            assert!(!disks.is_empty());
        }
        Ok(())
    });
    let disk = r#"<disk device="1" size="1"/>"#;
    let prepare = format!(
        r#"<host id="0">
          <storage type="nfs" name="shared" default="true"/>
          <storage type="nfs" name="again" options="v4"/>
          <storage type="nfs" name="fast" network="NSEC"/>
          <storage type="lvmoiscsi" name="lun" options="LUN1"/>
          <storage type="ext" name="own"/>
          <vm name="a"><storage>lun</storage>{disk}</vm>
          <vm name="b">{disk}</vm>
          <vm name="c"><storage>fast</storage>{disk}</vm>
          <vm name="d"><storage>nfs</storage>{disk}</vm>
          <vm name="e"><storage>lvmoiscsi</storage>{disk}</vm>
        </host>"#
    );
    let outline = passes(&builder(1).build(), vec![test], &prepare).await;
    let told = steps(&outline);
    let at = |what: &str| told.iter().position(|step| step == what).unwrap();
    assert!(at("storage shared on h0") < at("default storage of h0"));
    assert!(at("default storage of h0") < at("guest b"));
    assert!(at("undone: delete guest \"b\"") < at("undone: give the default storage back"));
    assert!(at("undone: give the default storage back") < at("undone: remove storage \"shared\""));
}

#[tokio::test]
async fn a_template_is_what_other_guests_are_made_of() {
    const PREPARE: &str = r#"<host id="0">
          <template name="base"><distro>debian</distro><disk device="1" size="1"/></template>
          <vm name="made"><distro>base</distro><vcpus>2</vcpus></vm>
          <vm name="later"><distro>debian</distro><postinstall action="convertToTemplate"/></vm>
          <vm name="snapped"><postinstall action="snapshot(name='clean')"/></vm>
        </host>"#;
    let with = case!("t.with", |cx| {
        let host = cx.default_host()?;
        let mut names: Vec<_> =
            host.templates()?.list().await?.into_iter().map(|own| own.name).collect();
        names.sort();
        assert_eq!(names, ["base", "later"]);
        let view = cx.guest("made")?.view().await?;
        assert_eq!((view.power, view.vcpus, view.disks.len()), (PowerState::Running, 2, 2));
        assert!(cx.guest("base").is_err(), "it is no guest any more");
        let snapshots = cx.guest("snapped")?.snapshots()?.list().await?;
        assert_eq!(snapshots[0].name, "clean");
        Ok(())
    });
    passes(&builder(1).build(), vec![with], PREPARE).await;
    // Where the toolstack has no templates, the guest stays, Halted, and its disks are copied.
    let without = case!("t.without", |cx| {
        assert_eq!(cx.guest("base")?.power_state().await?, PowerState::Halted);
        let view = cx.guest("made")?.view().await?;
        assert_eq!((view.power, view.vcpus, view.disks.len()), (PowerState::Running, 2, 2));
        Ok(())
    });
    let lab = builder(1).without(Ability::Templates, "it has none").build();
    passes(&lab, vec![without], PREPARE).await;
}

#[tokio::test]
async fn hosts_become_a_pool_and_are_alone_again_after_it() {
    let test = case!("t.pooled", |cx| {
        let hosts = cx.hosts()?;
        assert_eq!(hosts.len(), 3);
        let members = hosts[2].pooling()?.members().await?;
        let names: Vec<_> =
            members.iter().map(|own| (own.name.as_str(), own.coordinator)).collect();
        assert_eq!(names, [("h1", true), ("h0", false), ("h2", false)]);
        // What the pool has is on all of them.
        for host in &hosts {
            assert!(host.networks().await?.iter().any(|own| own.name == "net0"));
            assert!(host.storages()?.find("shared").await?.shared);
        }
        assert_eq!(cx.guest("vm")?.host().name(), "h1");
        Ok(())
    });
    let prepare = r#"<pool master="RESOURCE_HOST_1"><allhosts/>
          <bridge name="net0"/>
          <storage type="nfs" name="shared" default="true"/>
          <vm name="vm"/>
        </pool>"#;
    let lab = builder(3).build();
    let outline = passes(&lab, vec![test], prepare).await;
    let told = steps(&outline);
    let at = |what: &str| told.iter().position(|step| step == what).unwrap();
    assert!(at("storage shared on h1") < at("h0 into pool RESOURCE_POOL_0"));
    assert!(at("h2 into pool RESOURCE_POOL_0") < at("guest vm"));
    for host in lab.hosts() {
        assert_eq!(host.pooling().unwrap().members().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_host_that_does_not_join_fails_the_preparation_by_its_step_and_all_is_undone() {
    let lab = builder(2).build();
    let refuse = Fault::refuse(ToolstackErrorKind::Other).host("h1").call(SimCall::Pool);
    // The first two look at the pool; the third would join.
    lab.inject(refuse.nth(3));
    let prepare = r#"<pool><host id="0"/><host id="1"/>
          <storage type="nfs" name="shared"/><vm name="vm"/></pool>"#;
    let tests = vec![case!("t.pass", |_cx| { Ok(()) })];
    let outline = run(&lab, tests, prepare, "<testcase id=\"t.pass\"/>", |_| {}).await;
    let outcomes = outline.outcomes().join("\n");
    assert!(
        outcomes.contains("h1 into pool RESOURCE_POOL_0 (made.seq:2): sim could not"),
        "{outcomes}"
    );
    assert!(!steps(&outline).iter().any(|step| step.contains("guest vm")));
    assert!(lab.everything().await.objects.is_empty(), "{:?}", lab.everything().await);
}

#[tokio::test]
async fn guests_of_a_shared_host_are_the_runs_own_and_it_is_no_host_of_the_run() {
    let test = case!("t.shared", |cx| {
        assert_eq!(cx.hosts()?.len(), 1);
        assert_eq!(cx.default_host()?.name(), "h0");
        let guest = cx.guest("license")?;
        assert_eq!(guest.host().name(), "h1");
        let (name, ending) = (guest.name(), guest.name().split_off("license-".len()));
        assert!(name.starts_with("license-") && ending.len() == 8, "{name}");
        guest.check().await?;
        Ok(())
    });
    let prepare =
        r#"<sharedhost><vm name="license"/></sharedhost><host id="0"><vm name="own"/></host>"#;
    let lab = builder(2).build();
    // What other runs do there meanwhile is no leak of this one.
    let outline = passes(&lab, vec![test], prepare).await;
    assert!(steps(&outline).iter().any(|step| step.starts_with("guest license-")));
}

#[tokio::test]
async fn all_hosts_are_those_of_the_lab_unless_the_file_says_how_many() {
    let registry = || Registry::of(vec![case!("t.pass", |_cx| { Ok(()) })]).unwrap();
    let open = sequence("<allhosts/>", "<testcase id=\"t.pass\"/>");
    let plan = Plan::new(&open, &registry()).unwrap();
    assert_eq!((plan.hosts(), plan.clone().on_machines(4).hosts()), (1, 4));
    assert_eq!(plan.on_machines(0).hosts(), 1, "the file names one");
    let closed = sequence("<allhosts stop=\"1\"/>", "<testcase id=\"t.pass\"/>");
    assert_eq!(Plan::new(&closed, &registry()).unwrap().on_machines(4).hosts(), 2);
    let lab = builder(3).build();
    assert_eq!(LabProvider::machines(&lab), Some(3));
    let test = case!("t.three", |cx| {
        assert_eq!(cx.hosts()?.len(), 3);
        Ok(())
    });
    passes(&lab, vec![test], "<allhosts/>").await;
}

#[test]
fn what_no_toolstack_can_do_is_still_refused_by_name() {
    let prepare = r#"<host id="0">
          <storage type="netapp" name="filer"/>
          <storage type="nfs" name="vmfs" options="ietvm"/>
          <NETWORK controller="dvs"><PHYSICAL network="NPRI"><NIC/><NIC/></PHYSICAL>
            <PHYSICAL network="NSEC"><NIC/><MANAGEMENT mode="static"/></PHYSICAL></NETWORK>
          <vm name="dvs"/>
        </host>"#;
    let not = sequence(prepare, "").not_carried_out();
    let told: Vec<String> = not
        .iter()
        .map(|item| format!("{}: {}: {}", item.place.line, item.what, item.reason))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}
