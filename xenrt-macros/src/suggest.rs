//! "Did you mean ...", for errors of the compiler.

/// The end of an error about a name that is not known: the nearest one, and all that there are.
pub(crate) fn suggest(wanted: &str, known: &[&str]) -> String {
    let likeness =
        |name: &&str| strsim::normalized_damerau_levenshtein(name, &wanted.to_lowercase());
    let nearest = known
        .iter()
        .map(|name| (likeness(name), name))
        // Below that it would be a wild guess, which misleads more than silence.
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    let all: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("expected one of {}{nearest}", all.join(", "))
}
