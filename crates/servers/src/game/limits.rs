//! Limits of a run: in the catalogue, and the default and the maximum of an installation.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Units of sizes. Each may end with `B`.
const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// Most that one run may use. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of all its processes together.
    pub memory: Option<Size>,
    /// Processors.
    pub cpu: Option<Cpus>,
    /// Processes and threads.
    pub pids: Option<NonZeroU32>,
    /// Size of the world.
    pub disk: Option<Size>,
    /// Rate of the console.
    pub console: Option<Rate>,
}

/// Size in bytes, more than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Rate in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(Size);

/// Processors, to the thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(u32);

impl Limits {
    /// Returns these limits, with those of `default` in place of `None`.
    #[must_use]
    pub fn or(self, default: Self) -> Self {
        Self {
            memory: self.memory.or(default.memory),
            cpu: self.cpu.or(default.cpu),
            pids: self.pids.or(default.pids),
            disk: self.disk.or(default.disk),
            console: self.console.or(default.console),
        }
    }

    /// Returns these limits, none of them above the maximum.
    #[must_use]
    pub fn at_most(self, max: Self) -> Self {
        fn least<T: Ord>(limit: Option<T>, max: Option<T>) -> Option<T> {
            limit.into_iter().chain(max).min()
        }
        Self {
            memory: least(self.memory, max.memory),
            cpu: least(self.cpu, max.cpu),
            pids: least(self.pids, max.pids),
            disk: least(self.disk, max.disk),
            console: least(self.console, max.console),
        }
    }

    /// Returns each limit that is above the maximum: its field, and the problem.
    pub fn beyond(&self, max: &Self) -> Vec<(&'static str, String)> {
        fn one<T: Copy + Ord + fmt::Display>(
            name: &'static str,
            limit: Option<T>,
            max: Option<T>,
        ) -> Option<(&'static str, String)> {
            let (limit, max) = limit.zip(max).filter(|(limit, max)| limit > max)?;
            Some((name, format!("{limit} is above the maximum of this installation, {max}")))
        }
        let all = [
            one("memory", self.memory, max.memory),
            one("cpu", self.cpu, max.cpu),
            one("pids", self.pids, max.pids),
            one("disk", self.disk, max.disk),
            one("console", self.console, max.console),
        ];
        all.into_iter().flatten().collect()
    }
}

impl FromStr for Limits {
    type Err = String;

    /// Parses an inline table of TOML, as the catalogue has it.
    fn from_str(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            limits: Limits,
        }
        let document: Result<Document, _> = toml::from_str(&format!("limits = {text}"));
        document.map(|it| it.limits).map_err(|error| {
            format!("is a table such as {{ memory = \"4GiB\", cpu = 2, pids = 512 }}: {}", error.message())
        })
    }
}

impl Size {
    /// Returns the size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim_end_matches(|it: char| !it.is_ascii_digit());
        let unit = text[number.len()..].trim_start();
        let unit = unit.strip_suffix('B').unwrap_or(unit);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let factor = factor.or_else(|| unit.is_empty().then_some(1));
        let bytes = factor.zip(number.parse::<u64>().ok()).and_then(|(factor, number)| number.checked_mul(factor));
        bytes.filter(|bytes| *bytes > 0).map(Self).ok_or_else(|| {
            format!(
                "'{text}' is no size: write a whole number and a unit (KiB, MiB, GiB, TiB, k, M, G or T), as in 512MiB"
            )
        })
    }
}

impl fmt::Display for Size {
    /// Writes the largest unit that loses nothing: `4 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.iter().filter(|(_, factor)| self.0.is_multiple_of(*factor)).max_by_key(|(_, factor)| factor);
        match fits {
            Some((unit, factor)) => write!(f, "{} {unit}B", self.0 / factor),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.strip_suffix("/s").ok_or_else(|| format!("'{text}' is no rate: write it as in 1MiB/s"))?;
        size.trim_end().parse().map(Self)
    }
}

impl Rate {
    /// Returns the rate in bytes per second.
    pub fn bytes_per_second(self) -> u64 {
        self.0.bytes()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl Cpus {
    /// Returns the thousandths of a processor.
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Cpus {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        let fits = (0.01..=10_000.0).contains(&number);
        fits.then(|| Self((number * 1000.0).round() as u32)).ok_or_else(|| D::Error::custom("it is 0.01 to 10000"))
    }
}

/// Texts for both the catalogue and the orders of a shim.
macro_rules! as_text {
    ($($name:ident)+) => {
        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        })+
    };
}
as_text! { Size Rate }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes, shown) in [
            ("4GiB", 4 << 30, "4 GiB"),
            ("512 MiB", 512 << 20, "512 MiB"),
            ("2Gi", 2 << 30, "2 GiB"),
            ("1500M", 1_500_000_000, "1500 MB"),
            ("2GB", 2_000_000_000, "2 GB"),
            ("1", 1, "1 B"),
            ("77 B", 77, "77 B"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown));
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        for text in ["", "0", "GiB", "-1GiB", "1.5GiB", "4 gib", "4GiB/s", "99999999999TiB", "4 Gi B", "٤GiB", "4\0"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_are_read_as_the_catalogue_has_them() {
        let text = r#"{ memory = "4GiB", cpu = 2, pids = 512, disk = "20GiB", console = "1MiB/s" }"#;
        let limits: Limits = text.parse().expect("limits");
        assert_eq!(limits.cpu.expect("a limit").thousandths(), 2000);
        assert_eq!(limits.console.expect("a limit").bytes_per_second(), 1 << 20);
        for (text, says) in [
            ("4GiB", "is a table such as"),
            ("{ ram = '4GiB' }", "unknown field `ram`"),
            ("{ memory = 4 }", "expected a string"),
            ("{ memory = '4 apples' }", "'4 apples' is no size"),
            ("{ cpu = 0 }", "0.01 to 10000"),
            ("{ cpu = nan }", "0.01 to 10000"),
            ("{ pids = 0 }", "nonzero"),
            ("{ console = '1MiB' }", "'1MiB' is no rate"),
            ("{}\nmore = 1", "unknown field `more`"),
        ] {
            let error = text.parse::<Limits>().expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn limits_come_from_the_game_then_the_installation() {
        let of = |text: &str| text.parse::<Limits>().expect(text);
        let (default, max) = (of("{ memory = '4GiB', cpu = 1 }"), of("{ memory = '2GiB', disk = '9GiB' }"));
        let default = default.at_most(max);
        assert_eq!(default, of("{ memory = '2GiB', cpu = 1, disk = '9GiB' }"));
        assert_eq!(of("{ memory = '1GiB' }").or(default), of("{ memory = '1GiB', cpu = 1, disk = '9GiB' }"));
        assert_eq!(of("{ memory = '2GiB', cpu = 64 }").beyond(&max), []);
        let beyond = of("{ memory = '3GiB' }").beyond(&max);
        assert_eq!(beyond, [("memory", "3 GiB is above the maximum of this installation, 2 GiB".to_owned())]);
    }
}
