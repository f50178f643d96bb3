//! A daemon that dies and comes back.

use std::time::{Duration, Instant};

use xenrt_core::Error;
use xenrt_core::model::{GuestSpec, PowerState, ShutdownMode};
use xenrt_core::remote::RemoteError;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `a_daemon_may_die_at_any_time` in name spaces of its own"]
async fn inside() {
    let mut world = World::new();
    let host = world.connect().await;
    let guest = host.create_guest(&GuestSpec::new("survivor").image("tiny")).await.unwrap();
    guest.start_paused().await.unwrap();
    let domid = guest.domain().await.unwrap().unwrap().domid;

    // While it is away, every verb says so, at once and as what it is.
    world.kill_daemon();
    let started = Instant::now();
    let lost = guest.unpause().await.unwrap_err();
    assert!(matches!(&lost, Error::Remote(error) if error.is_connection()), "{lost:?}");
    let again = guest.pause().await.unwrap_err();
    assert!(matches!(&again, Error::Remote(RemoteError::Connect { .. })), "{again:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());

    // A wait goes on when it is back, and the guest has lived on.
    let waiting = {
        let guest = std::sync::Arc::clone(&guest);
        tokio::spawn(async move {
            guest.wait_for_state(PowerState::Paused, Duration::from_secs(60)).await
        })
    };
    world.start_daemon();
    waiting.await.unwrap().unwrap();
    assert_eq!(guest.domain().await.unwrap().unwrap().domid, domid);
    guest.unpause().await.unwrap();
    guest.check().await.unwrap();

    guest.ensure_deleted().await.unwrap();

    // Killed in the middle of a verb: it succeeds, or its error is matchable, in time; and the next
    // call works and says what is.
    for verb in 0..4 {
        let spec = GuestSpec::new(format!("middle {verb}")).image("tiny");
        let guest = host.create_guest(&spec).await.unwrap();
        if verb > 0 {
            guest.start().await.unwrap();
        }
        let (acting, began) = (std::sync::Arc::clone(&guest), Instant::now());
        let acted = tokio::spawn(async move {
            match verb {
                0 => acting.start().await,
                1 => acting.pause().await,
                2 => acting.suspend().await,
                _ => acting.shutdown(ShutdownMode::Hard).await,
            }
        });
        tokio::task::yield_now().await;
        world.kill_daemon();
        world.start_daemon();
        let result = acted.await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(250), "verb {verb}: {:?}", began.elapsed());
        eprintln!("verb {verb}: {result:?}");
        if let Err(error) = result {
            let known = matches!(&error, Error::Remote(error) if error.is_connection())
                || error.toolstack_kind().is_some();
            assert!(known, "verb {verb}: {error:?}");
        }
        let state = guest.power_state().await.unwrap();
        let domain = guest.domain().await.unwrap();
        assert_eq!(domain.is_some(), state.has_domain(), "verb {verb}: {state}, {domain:?}");
        guest.ensure_deleted().await.unwrap();
    }
}
