//! Networks that come and go.

use crate::conformance::Problem;
use crate::conformance::check::Check;
use crate::conformance::context::CheckContext;
use crate::conformance::problem::{ensure, invalid, refused, same};
use crate::model::{Ability, NetworkKind, NetworkSpec, ShutdownMode, VifSpec};
use crate::{Error, ToolstackErrorKind};

const NEEDS: &[Ability] = &[Ability::Networks];

async fn listed(cx: &CheckContext, name: &str) -> Result<usize, Problem> {
    Ok(cx.host().networks().await?.iter().filter(|network| network.name == name).count())
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick("network.create", "a network that was made is listed once, as what it is", |cx| {
        Box::pin(async move {
            let made = cx.host().create_network(&NetworkSpec::isolated("xrtc1")).await?;
            same("its kind", made.kind, NetworkKind::Isolated)?;
            same("how often it is listed", listed(cx, "xrtc1").await?, 1)
        })
    })
    .needs(NEEDS)
    .alone(),
    Check::quick("network.remove", "a network that was removed is not listed", |cx| {
        Box::pin(async move {
            cx.host().create_network(&NetworkSpec::isolated("xrtc1")).await?;
            cx.host().remove_network("xrtc1").await?;
            same("how often it is listed", listed(cx, "xrtc1").await?, 0)
        })
    })
    .needs(NEEDS)
    .alone(),
    Check::quick("network.remove_twice", "removing a network that is gone succeeds", |cx| {
        Box::pin(async move { Ok(cx.host().remove_network("xrtc1").await?) })
    })
    .needs(NEEDS)
    .alone(),
    Check::quick("network.taken", "a network cannot have the name of another one", |cx| {
        Box::pin(async move {
            let spec = NetworkSpec::isolated("xrtc1");
            cx.host().create_network(&spec).await?;
            invalid(cx.host().define_network(&spec).await, "a name that is taken")
        })
    })
    .needs(NEEDS)
    .alone(),
    Check::quick(
        "network.names",
        "an odd name of a network is refused, or the network has it as it is",
        |cx| {
            Box::pin(async move {
                let before = cx.host().networks().await?;
                let nameless = cx.host().define_network(&NetworkSpec::isolated("")).await;
                invalid(nameless, "an empty name")?;
                for name in ["xrtc-sixteen-byt", "xrtc a b", "xrtc/b", "..", "-xrtc", "$(xrtc)/"] {
                    // A toolstack whose networks are bridges refuses it, others take any text.
                    match cx.host().create_network(&NetworkSpec::isolated(name)).await {
                        Err(Error::Invalid { .. }) => {
                            same("how often it is listed", listed(cx, name).await?, 0)?;
                        }
                        Err(error) => return Err(error.into()),
                        Ok(made) => {
                            same("its name", made.name.as_str(), name)?;
                            same("how often it is listed", listed(cx, name).await?, 1)?;
                            cx.host().remove_network(name).await?;
                        }
                    }
                }
                same("the networks", cx.host().networks().await?, before)
            })
        },
    )
    .needs(NEEDS)
    .alone(),
    Check::quick("network.longest_name", "a network can have a name of 15 bytes", |cx| {
        Box::pin(async move {
            let made = cx.host().create_network(&NetworkSpec::isolated("xrtc-15-bytes-x")).await?;
            same("its name", made.name.as_str(), "xrtc-15-bytes-x")
        })
    })
    .needs(NEEDS)
    .alone(),
    Check::quick("network.in_use", "a network that a guest uses is not removed", |cx| {
        Box::pin(async move {
            let network = cx.host().create_network(&NetworkSpec::isolated("xrtc1")).await?;
            let mut spec = cx.spec("a");
            spec.vifs = vec![VifSpec::on(&network.name)];
            let guest = cx.host().create_guest(&spec).await?;
            guest.start_paused().await?;
            let result = cx.host().remove_network(&network.name).await;
            refused(result, "a network in use", &[ToolstackErrorKind::BadState])?;
            same("how often it is listed", listed(cx, &network.name).await?, 1)?;
            guest.shutdown(ShutdownMode::Hard).await?;
            guest.delete().await?;
            Ok(cx.host().remove_network(&network.name).await?)
        })
    })
    .needs(NEEDS)
    .alone(),
    Check::quick(
        "network.foreign",
        "a network that the library did not make is never removed",
        |cx| {
            Box::pin(async move {
                let Some(network) = &cx.host().entry().guest_network else {
                    return Err(Problem::Errored("the host has no guest network".to_owned()));
                };
                let before = cx.host().networks().await?;
                let result = cx.host().remove_network(&network.network).await;
                ensure(result.is_err(), "the guest network of the host was removed")?;
                same("the networks", cx.host().networks().await?, before)
            })
        },
    )
    .alone(),
    Check::quick("network.uplink", "a network with an uplink has it", |cx| {
        Box::pin(async move {
            let Some(spare) = cx.host().entry().attributes.get("spare_interface") else {
                return Err(Problem::Absent {
                    ability: Ability::Networks,
                    reason:
                        "no interface is to spare; name one in the attribute `spare_interface` \
                             of the host"
                            .to_owned(),
                });
            };
            let kind = NetworkKind::Uplink(spare.clone());
            let spec = NetworkSpec { name: "xrtc2".to_owned(), kind: kind.clone() };
            cx.host().create_network(&spec).await?;
            let networks = cx.host().networks().await?;
            let found = networks.into_iter().find(|network| network.name == "xrtc2");
            same("its kind", found.map(|network| network.kind), Some(kind))
        })
    })
    .needs(NEEDS)
    .alone(),
    Check::quick(
        "network.missing_uplink",
        "a network cannot have an uplink that there is not",
        |cx| {
            Box::pin(async move {
                let kind = NetworkKind::Uplink("nosuchif".to_owned());
                let spec = NetworkSpec { name: "xrtc3".to_owned(), kind };
                let result = cx.host().define_network(&spec).await;
                refused(result, "such an uplink", &[ToolstackErrorKind::NoSuchObject])?;
                same("how often it is listed", listed(cx, "xrtc3").await?, 0)
            })
        },
    )
    .needs(NEEDS)
    .alone(),
];
