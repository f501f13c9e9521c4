//! The labelled table: who runs where and does what, and what the verdict must be.

/// One labelled situation.
#[derive(Debug)]
pub(super) struct Scenario {
    /// Who takes part.
    pub(super) roles: &'static [Role],
    /// What must come out.
    pub(super) expect: Expect,
    /// The window, in seconds.
    pub(super) window: u32,
}

/// One workload.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: &'static str,
    /// The load generator's arguments.
    pub(super) load: &'static str,
    pub(super) place: Place,
    /// Weight where 1024 is what everybody has.
    pub(super) shares: Option<u64>,
    /// Quota in CPUs.
    pub(super) quota: Option<f64>,
    pub(super) home: Home,
}

/// The CPUs that a workload may use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    First,
    Second,
    Both,
}

/// Where a workload runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Container,
    /// A process of the host, outside any container.
    Host,
}

/// The verdict that is right.
#[derive(Debug)]
pub(super) enum Expect {
    /// The victim is harmed, by exactly these, with these shares where the setting decides them.
    Harmed {
        victim: &'static str,
        cause: &'static str,
        culprits: &'static [(&'static str, Option<f64>)],
    },
    /// The victim is held back by a limit of its own, and nobody is accused.
    HeldBack {
        victim: &'static str,
        limit: &'static str,
    },
    /// None of those who take part is accused or harmed. Those named in `cleared` look guilty and
    /// are cleared; where `everybody`, nobody else on the host is accused either.
    Nobody {
        cleared: &'static [&'static str],
        everybody: bool,
    },
}

const fn role(name: &'static str, load: &'static str, place: Place) -> Role {
    Role {
        name,
        load,
        place,
        shares: None,
        quota: None,
        home: Home::Container,
    }
}

/// Request-like: a fifth of a CPU, well below its share of one. A request is longer than what a
/// waking task gets in advance from CFS (kernels before 6.6), which would leave it undisturbed.
const REQUESTS: &str = "tick --work 20ms --every 100ms --for 60s";

const BATCH_HARMS_WEB: Expect = Expect::Harmed {
    victim: "dn-web",
    cause: "neighbour",
    culprits: &[("dn-batch", None)],
};

pub(super) const ALL_ON_ONE_CPU: Scenario = Scenario {
    roles: &[
        role("dn-web", REQUESTS, Place::First),
        role("dn-batch", "spin --threads 3 --for 60s", Place::First),
        role(
            "dn-light",
            "tick --work 500us --every 10ms --for 60s",
            Place::First,
        ),
    ],
    expect: BATCH_HARMS_WEB,
    window: 5,
};

pub(super) const BYSTANDER_ELSEWHERE: Scenario = Scenario {
    roles: &[
        role("dn-web", REQUESTS, Place::First),
        role("dn-batch", "spin --threads 3 --for 60s", Place::First),
        role("dn-cache", "spin --for 60s", Place::Second),
    ],
    expect: BATCH_HARMS_WEB,
    window: 5,
};

pub(super) const ALL_ON_BOTH_CPUS: Scenario = Scenario {
    roles: &[
        role("dn-web", REQUESTS, Place::Both),
        role("dn-batch", "spin --threads 8 --for 60s", Place::Both),
        role(
            "dn-light",
            "tick --work 500us --every 10ms --for 60s",
            Place::Both,
        ),
    ],
    expect: BATCH_HARMS_WEB,
    window: 5,
};

/// The victim works longer than a time slice at once, so that both culprits run while it waits, as
/// often as their weights say: two to one. It wants less than its share, so both are well over theirs.
pub(super) const UNEQUAL_CULPRITS: Scenario = Scenario {
    roles: &[
        role(
            "dn-web",
            "tick --work 10ms --every 100ms --for 60s",
            Place::First,
        ),
        Role {
            shares: Some(2048),
            ..role("dn-batch", "spin --for 60s", Place::First)
        },
        Role {
            shares: Some(1024),
            ..role("dn-index", "spin --for 60s", Place::First)
        },
    ],
    expect: Expect::Harmed {
        victim: "dn-web",
        cause: "neighbour",
        culprits: &[("dn-batch", Some(2.0 / 3.0)), ("dn-index", Some(1.0 / 3.0))],
    },
    window: 6,
};

pub(super) const FORK_STORM: Scenario = Scenario {
    roles: &[
        role("dn-web", REQUESTS, Place::First),
        role(
            "dn-batch",
            "fork --threads 4 --work 2ms --for 60s",
            Place::First,
        ),
    ],
    expect: BATCH_HARMS_WEB,
    window: 5,
};

pub(super) const BURSTS: Scenario = Scenario {
    roles: &[
        role(
            "dn-web",
            "tick --work 3ms --every 10ms --for 60s",
            Place::First,
        ),
        role(
            "dn-batch",
            "burst --on 50ms --off 950ms --threads 4 --for 60s",
            Place::First,
        ),
    ],
    expect: BATCH_HARMS_WEB,
    window: 10,
};

pub(super) const HOST_SERVICE: Scenario = Scenario {
    roles: &[
        role("dn-web", REQUESTS, Place::First),
        Role {
            home: Home::Host,
            ..role("dunnage-load", "spin --threads 2 --for 60s", Place::First)
        },
    ],
    expect: Expect::Harmed {
        victim: "dn-web",
        cause: "host",
        culprits: &[("dunnage-load", None)],
    },
    window: 5,
};

pub(super) const OWN_QUOTA: Scenario = Scenario {
    roles: &[
        Role {
            quota: Some(0.2),
            ..role("dn-web", "spin --for 60s", Place::First)
        },
        role("dn-cache", "spin --for 60s", Place::Second),
    ],
    expect: Expect::HeldBack {
        victim: "dn-web",
        limit: "cpu.max",
    },
    window: 5,
};

pub(super) const EQUAL_SPINNERS: Scenario = Scenario {
    roles: &[
        role("dn-web", "spin --for 60s", Place::First),
        role("dn-batch", "spin --for 60s", Place::First),
    ],
    expect: Expect::Nobody {
        cleared: &[],
        everybody: false,
    },
    window: 5,
};

pub(super) const HARMLESS_HOG: Scenario = Scenario {
    roles: &[
        role("dn-web", REQUESTS, Place::First),
        role("dn-cache", "spin --for 60s", Place::Second),
    ],
    expect: Expect::Nobody {
        cleared: &["dn-cache"],
        everybody: false,
    },
    window: 5,
};

pub(super) const QUIET: Scenario = Scenario {
    roles: &[
        role(
            "dn-web",
            "tick --work 1ms --every 100ms --for 60s",
            Place::Both,
        ),
        role("dn-batch", "sleep --for 60s", Place::Both),
    ],
    expect: Expect::Nobody {
        cleared: &[],
        everybody: true,
    },
    window: 5,
};
