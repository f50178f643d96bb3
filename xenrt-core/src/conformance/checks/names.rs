//! Names arrive as they are, whatever is in them.

use crate::Error;
use crate::conformance::check::Check;
use crate::conformance::context::CheckContext;
use crate::conformance::problem::{Outcome, ensure, invalid, same};
use crate::model::{GuestSpec, ShutdownMode};

/// A guest can have this name: toolstack and hypervisor know it by it.
async fn taken_as_it_is(cx: &CheckContext, name: String) -> Outcome {
    let spec = GuestSpec { name: name.clone(), ..cx.spec("x") };
    let guest = cx.host().create_guest(&spec).await?;
    same("its name", guest.name(), name.clone())?;
    let listed = cx.host().guest(&name).await?;
    same("the guest of that name", listed.uuid(), guest.uuid())?;
    guest.start_paused().await?;
    let domain = guest.domain().await?.map(|domain| domain.name);
    same("the name of its domain", domain, Some(name.clone()))?;
    ensure(
        cx.host().inventory().await?.objects.contains(&format!("domain {name}")),
        "the inventory does not list the domain by that name",
    )?;
    guest.shutdown(ShutdownMode::Hard).await?;
    guest.delete().await?;
    let left = cx.host().guests().await?;
    ensure(left.iter().all(|guest| guest.name() != name), "it is still listed when it is deleted")
}

/// A guest can have this name, or it is refused before anything is made: a toolstack that could not
/// tell it from another name has no other choice.
async fn taken_as_it_is_or_refused(cx: &CheckContext, name: String) -> Outcome {
    let spec = GuestSpec { name: name.clone(), ..cx.spec("x") };
    match cx.host().define_guest(&spec).await {
        Err(Error::Invalid { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(guest) => {
            guest.delete().await?;
            taken_as_it_is(cx, name).await
        }
    }
}

/// No guest can have this name, and the attempt leaves nothing.
async fn refused(cx: &CheckContext, name: String) -> Outcome {
    let spec = GuestSpec { name: name.clone(), ..cx.spec("x") };
    invalid(cx.host().define_guest(&spec).await, &format!("the name {name:?}"))
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick("names.plain", "a plain name is taken as it is", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("plain")))
    }),
    Check::quick("names.space", "a name may hold spaces", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("a  b c")))
    }),
    Check::quick("names.outer_space", "a name with spaces around it is kept or refused", |cx| {
        Box::pin(taken_as_it_is_or_refused(cx, format!(" {} ", cx.name("outer"))))
    }),
    Check::quick("names.single_quote", "a name may hold single quotes", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("it's 'so'")))
    }),
    Check::quick("names.double_quote", "a name may hold double quotes", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("say \"so\"")))
    }),
    Check::quick("names.backslash", "a name may hold backslashes", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name(r"a\n\\b\")))
    }),
    Check::quick("names.dollar", "a name is never expanded by a shell", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("$(id) $HOME ${x}")))
    }),
    Check::quick("names.backtick", "a name may hold backticks", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("`id`")))
    }),
    Check::quick("names.operators", "a name may hold what separates commands", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("a;b&c|d>e<f(g)")))
    }),
    Check::quick("names.glob", "a name may hold patterns", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("*?[a-z]~!")))
    }),
    Check::quick("names.leading_dash", "a name may look like an option", |cx| {
        Box::pin(taken_as_it_is(cx, format!("-v-{}", cx.name("dash"))))
    }),
    Check::quick("names.two_dashes", "a name may begin with two dashes", |cx| {
        Box::pin(taken_as_it_is(cx, format!("--help={}", cx.name("dash"))))
    }),
    Check::quick("names.hash_and_equals", "a name may hold `#`, `=`, `%`, `,` and `:`", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("#a=b%s,c:d@e+f")))
    }),
    Check::quick("names.number", "a name may be a number, as a domain id is", |cx| {
        Box::pin(taken_as_it_is(cx, "987654".to_owned()))
    }),
    Check::quick("names.uuid", "a name may look like an identity", |cx| {
        Box::pin(taken_as_it_is(cx, "9d0d2c8e-7c57-4c2b-9d43-5a0a4f2d6b11".to_owned()))
    }),
    Check::quick("names.unicode", "a name may hold characters beyond ASCII", |cx| {
        Box::pin(taken_as_it_is(cx, cx.name("größe-日本-🦀")))
    }),
    Check::quick("names.case", "names differ by case", |cx| {
        Box::pin(async move {
            let lower = cx.halted("case").await?;
            let upper = cx.halted("CASE").await?;
            let found = cx.host().guest(&upper.name()).await?;
            same("the guest of the upper case name", found.uuid(), upper.uuid())?;
            ensure(lower.uuid() != upper.uuid(), "both are one guest")
        })
    }),
    Check::quick("names.hundred", "a name of 100 bytes is kept whole", |cx| {
        Box::pin(async move {
            let name = cx.name("long");
            let rest = 100 - name.len();
            taken_as_it_is(cx, name + &"x".repeat(rest)).await
        })
    }),
    Check::quick("names.longest", "the longest name that the host takes is kept whole", |cx| {
        Box::pin(async move {
            let most = cx.host().longest_guest_name();
            // A name that people give must not be what is too long.
            ensure(most >= 200, format!("it is {most} bytes"))?;
            let name = cx.name("longest");
            let rest = most - name.len();
            taken_as_it_is(cx, name + &"x".repeat(rest)).await
        })
    }),
    Check::quick("names.prefix", "a guest is not mistaken for one whose name begins alike", |cx| {
        Box::pin(async move {
            let short = cx.halted("pre").await?;
            let long = cx.paused("prefix").await?;
            let found = cx.host().guest(&short.name()).await?;
            same("the guest of the short name", found.uuid(), short.uuid())?;
            ensure(short.domain().await?.is_none(), "it has the domain of the other")?;
            ensure(long.domain().await?.is_some(), "the other lost its domain")
        })
    }),
    Check::quick("names.empty", "an empty name is refused", |cx| {
        Box::pin(refused(cx, String::new()))
    }),
    Check::quick("names.too_long", "a name that is a byte longer is refused", |cx| {
        Box::pin(refused(cx, "x".repeat(cx.host().longest_guest_name() + 1)))
    }),
    Check::quick("names.slash", "a name with a slash is refused", |cx| {
        Box::pin(refused(cx, cx.name("../../etc")))
    }),
    Check::quick("names.newline", "a name with a line end is refused", |cx| {
        Box::pin(refused(cx, cx.name("a\nb")))
    }),
    Check::quick("names.control_domain", "the name of the control domain is refused", |cx| {
        Box::pin(refused(cx, "Domain-0".to_owned()))
    }),
];
