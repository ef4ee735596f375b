// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

const HEAD: &str = "[[figure]]\nname = \"f\"\ntitle = \"A figure\"\n";
const SERVERS: &str = "server = \"nginx\"\naxis = \"connections\"\nsizes = [\"1k\"]\n\
                       connections = [1, 64]\nrequests = 100\nvariants = [\"nopush\", \"inline\"]\n";

fn read(rest: &str) -> Result<Vec<Figure>, Bad> {
    parse(Path::new("f.toml"), &format!("{HEAD}{rest}"))
}

fn refused(rest: &str) -> String {
    match read(rest) {
        Ok(_) => panic!("accepted: {rest}"),
        Err(error) => error.to_string(),
    }
}

fn load_of(rest: &str) -> Load {
    match read(rest).unwrap().remove(0).what {
        What::Servers(load) => load,
        What::Calls(_) => panic!("no servers"),
    }
}

#[test]
fn what_is_not_named_has_a_value() {
    let figure = read(SERVERS).unwrap().remove(0);
    assert_eq!((figure.name.as_str(), figure.repeats), ("f", 2));
    assert_eq!((figure.processors, figure.crossing), (1, None));
    let load = load_of(SERVERS);
    assert_eq!(load.client, ClientKind::Lockstep);
    assert_eq!(load.amount, Amount::Requests(100));
    assert_eq!(
        (load.pipeline, load.workers, load.threads),
        (vec![1], vec![1], vec![1])
    );
    assert_eq!(load.ways[0].name, "http");
    assert_eq!(load.variants, [Variant::Nopush, Variant::Inline]);
    // Only what is named is said of a value.
    let named: Vec<Key> = load.named.into_iter().collect();
    assert_eq!(named, [Key::Sizes, Key::Connections]);
}

#[test]
fn all_can_be_named() {
    let load = load_of(
        "server = \"nginx\"\nway = [\"tls-1.3\", \"ktls\"]\naxis = \"sizes\"\nsizes = [\"1k\", \"1m\"]\n\
         connections = [8]\npipeline = [1, 4]\nworkers = [2]\nthreads = [1, 2]\nseconds = 0.5\n\
         client = \"lockstep\"\nvariants = [\"pool\", \"auto\"]\n",
    );
    assert_eq!(load.ways.len(), 2);
    assert_eq!(load.amount, Amount::Time(Duration::from_millis(500)));
    assert_eq!(load.threads, [1, 2]);
}

#[test]
fn calls_are_figures_too() {
    let figure = read(
        "calls = [\"getppid\", \"send\"]\nbatch = [1, 64]\nrequests = 5000\nrepeats = 3\n\
         variants = [\"default\", \"inline\", \"io-uring\"]\n",
    )
    .unwrap()
    .remove(0);
    let What::Calls(batches) = figure.what else {
        panic!("no calls");
    };
    assert_eq!(batches.calls, [Call::Getppid, Call::Send]);
    assert_eq!((batches.batch, batches.number), (vec![1, 64], 5000));
}

#[test]
fn errors_have_file_line_key_and_fix() {
    for (rest, line, words) in [
        ("servr = \"nginx\"\n", 4, "unknown field `servr`"),
        (
            "server = \"apache\"\n",
            4,
            "server = \"apache\": use nginx, lighttpd",
        ),
        (
            "server = \"nginx\"\nway = \"quic\"\n",
            5,
            "nginx has no way \"quic\"; there are http",
        ),
        ("repeats = 0\n", 4, "repeats: 0: give 1 to 100"),
        ("repeats = \"two\"\n", 4, "in: repeats = \"two\""),
        ("processors = 0\n", 4, "processors: 0: give 1 to 1024"),
        (
            "crossing = 0\n",
            4,
            "crossing is for figures in virtual time",
        ),
        (
            "processors = 4\ncrossing = -1\n",
            5,
            "crossing: -1: give 0 to 1000000",
        ),
        (
            "calls = [\"getppid\"]\nserver = \"nginx\"\n",
            1,
            "give one of the two",
        ),
        (
            "calls = [\"fork\"]\nbatch = [1]\n",
            4,
            "calls = \"fork\": use getppid",
        ),
    ] {
        let text = match rest.contains("variants") {
            true => rest.to_owned(),
            false => format!("{rest}variants = [\"inline\"]\n"),
        };
        let error = refused(&text);
        assert!(error.starts_with(&format!("f.toml:{line}: ")), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn values_of_servers_are_checked() {
    for (from, to, words) in [
        (
            "connections = [1, 64]",
            "connections = [1, 1001]",
            "connections: 1001: give 1 to 1000",
        ),
        (
            "connections = [1, 64]",
            "connections = []",
            "connections is empty",
        ),
        (
            "sizes = [\"1k\"]",
            "sizes = [\"1g\"]",
            "sizes: \"1g\": not a size",
        ),
        ("sizes = [\"1k\"]\n", "", "sizes is missing"),
        ("requests = 100\n", "", "requests or seconds is missing"),
        (
            "requests = 100",
            "requests = 100\nseconds = 1.0",
            "give one of the two",
        ),
        ("requests = 100", "seconds = 900.0", "seconds = 900: give"),
        (
            "\"inline\"",
            "\"outline\"",
            "variants = \"outline\": use default",
        ),
        ("\"inline\"", "\"nopush\"", "is there twice"),
        ("\"inline\"", "\"io-uring\"", "for server = \"echo\" only"),
        ("\"nginx\"", "\"redis\"", "for server = \"nginx\" only"),
        ("axis = \"connections\"\n", "", "axis is missing"),
        (
            "requests = 100",
            "requests = 100\nclient = \"wrk\"\npipeline = [2]",
            "one request at a time",
        ),
        (
            "requests = 100",
            "requests = 100\nclient = \"wrk\"\nway = \"tls-1.3\"",
            "use \"lockstep\"",
        ),
        (
            "requests = 100",
            "requests = 100\nbatch = [1]",
            "batch belongs to calls",
        ),
    ] {
        let error = refused(&SERVERS.replace(from, to));
        assert!(error.contains(words), "{to}: {error}");
    }
    let error = refused(
        "server = \"memcached\"\nway = \"tls\"\naxis = \"pipeline\"\nsizes = [\"1k\"]\nconnections = [1]\n\
         pipeline = [1, 2]\nrequests = 9\nvariants = [\"inline\"]\n",
    );
    assert!(error.contains("takes 1 at once"), "{error}");
}

#[test]
fn latency_has_a_load_a_pace_and_a_seed() {
    let latency = SERVERS.replace("\"connections\"", "\"load\"")
        + "client = \"open-loop\"\nload = [30, 90]\n";
    let load = load_of(&latency);
    assert_eq!(
        (load.axis, load.load.as_slice()),
        (Key::Load, &[30, 90][..])
    );
    let pace = |load: Load| load.latency.map(|latency| (latency.pace, latency.seed));
    assert_eq!(pace(load), Some((Pace::Poisson, 1)));
    let all = latency.clone() + "arrivals = \"constant\"\nseed = 7\n";
    assert_eq!(pace(load_of(&all)), Some((Pace::Constant, 7)));
    for (from, to, words) in [
        ("load = [30, 90]\n", "", "load is missing: per cent"),
        ("30, 90", "101", "load: 101: give 1 to 100"),
        ("\"nopush\", ", "", "one without SAIO is needed"),
        ("requests = 100", "seconds = 1.0", "needs requests instead"),
        (
            "\"open-loop\"",
            "\"wrk\"",
            "load is for client = \"open-loop\"",
        ),
        (
            "\"nginx\"",
            "\"nginx\"\nway = \"ktls\"",
            "is for way = \"http\"",
        ),
        ("seed = 7", "seed = -1", "seed: -1: give 0"),
        (
            "\"constant\"",
            "\"even\"",
            "arrivals = \"even\": use constant, poisson",
        ),
    ] {
        let error = refused(&all.replace(from, to));
        assert!(error.contains(words), "{to}: {error}");
    }
}

#[test]
fn names_are_file_names_and_not_given_twice() {
    let twice = format!("{HEAD}{SERVERS}{HEAD}{SERVERS}");
    let error = parse(Path::new("f.toml"), &twice)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("f.toml:11: name = \"f\": there are two"),
        "{error}"
    );
    let error = parse(Path::new("f.toml"), &twice.replace("\"f\"", "\"../f\""));
    assert!(error.err().unwrap().to_string().contains("lower-case"));
}

#[test]
fn the_trees_own_files_are_good() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/bench");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".toml") || name.ends_with("goals.toml") {
            continue;
        }
        for figure in load(&file).unwrap() {
            assert!(
                names.insert(figure.name.clone()),
                "{} is there twice",
                figure.name
            );
        }
    }
    assert!(names.contains("demo"));
}
