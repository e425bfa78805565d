//! The agent's messages as Rust types: names, numbers and types of fields are those of agent-mode.md ("StartUpInfo",
//! "Service"). Fields that nobody here looks at are left out; the decoder skips them. What holds secrets is not shown.
//!
//! Enumerations are plain numbers: one that is not known must pass, not end the stream.

use std::collections::BTreeMap;

/// What comes on standard input.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct StartUpInfo {
    /// `HOST:PORT`, `unix:///PATH` or `npipe:///NAME`.
    #[prost(string, tag = "1")]
    pub addr: String,
    /// By which the agent picks its certificate.
    #[prost(string, tag = "2")]
    pub server_name: String,
    /// Goes into every message.
    #[prost(string, tag = "3")]
    pub token: String,
    /// PEM.
    #[prost(bytes = "vec", tag = "4")]
    pub ca_cert: Vec<u8>,
    /// PEM.
    #[prost(bytes = "vec", tag = "5")]
    pub peer_cert: Vec<u8>,
    /// PEM.
    #[prost(bytes = "vec", tag = "6")]
    pub peer_key: Vec<u8>,
    /// See [`SERVICE_CHECKIN_V2`].
    #[prost(int32, repeated, tag = "7")]
    pub services: Vec<i32>,
    /// See [`SUPPORTS_CHUNKS`].
    #[prost(int32, repeated, tag = "8")]
    pub supports: Vec<i32>,
    /// In both directions; 0: 4 MiB.
    #[prost(uint32, tag = "9")]
    pub max_message_size: u32,
    /// May be absent or without id before the enrolment.
    #[prost(message, optional, tag = "10")]
    pub agent_info: Option<AgentInfo>,
}

/// The service that we speak.
pub const SERVICE_CHECKIN_V2: i32 = 1;
/// Large check-ins may come, and may be sent, in pieces.
pub const SUPPORTS_CHUNKS: i32 = 0;

/// Type of a unit: input.
pub const INPUT: i32 = 0;
/// Type of a unit: output.
pub const OUTPUT: i32 = 1;

/// Type of an action: one of a unit.
pub const ACTION_CUSTOM: i32 = 0;
/// Type of an action: diagnostics.
pub const ACTION_DIAGNOSTICS: i32 = 1;
/// Level of diagnostics: of the unit only.
pub const LEVEL_UNIT: i32 = 2;
/// Status of an action: it went well.
pub const SUCCESS: i32 = 0;
/// Status of an action: it did not.
pub const FAILED: i32 = 1;

/// What we say of ourselves.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CheckinObserved {
    /// The token of [`StartUpInfo`].
    #[prost(string, tag = "1")]
    pub token: String,
    /// Always all: one that is left out has failed for the agent.
    #[prost(message, repeated, tag = "2")]
    pub units: Vec<UnitObserved>,
    /// In the first message of a stream only.
    #[prost(message, optional, tag = "3")]
    pub version_info: Option<VersionInfo>,
    /// As last expected.
    #[prost(uint64, tag = "5")]
    pub features_idx: u64,
    /// As last expected.
    #[prost(uint64, tag = "6")]
    pub component_idx: u64,
    /// Set where the message is part of a set.
    #[prost(message, optional, tag = "7")]
    pub units_timestamp: Option<Timestamp>,
    /// In the first message of a stream only.
    #[prost(int32, repeated, tag = "8")]
    pub supports: Vec<i32>,
    /// Our process.
    #[prost(uint64, tag = "9")]
    pub pid: u64,
}

/// Who we are (`CheckinObservedVersionInfo`).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct VersionInfo {
    /// The program.
    #[prost(string, tag = "1")]
    pub name: String,
    /// commit, build_time
    #[prost(btree_map = "string, string", tag = "3")]
    pub meta: BTreeMap<String, String>,
    /// The commit.
    #[prost(string, tag = "4")]
    pub build_hash: String,
}

/// How a unit does. Its payload may hold an enrollment token.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct UnitObserved {
    /// Together with the type it names the unit.
    #[prost(string, tag = "1")]
    pub id: String,
    /// [`INPUT`] or [`OUTPUT`].
    #[prost(int32, tag = "2")]
    pub r#type: i32,
    /// Of the configuration that was received last.
    #[prost(uint64, tag = "3")]
    pub config_state_idx: u64,
    /// A [`super::seam::State`].
    #[prost(int32, tag = "4")]
    pub state: i32,
    /// For people.
    #[prost(string, tag = "5")]
    pub message: String,
    /// For programs.
    #[prost(message, optional, tag = "6")]
    pub payload: Option<Struct>,
}

/// What the agent wants of us.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CheckinExpected {
    /// All of them.
    #[prost(message, repeated, tag = "1")]
    pub units: Vec<UnitExpected>,
    /// Absent: as it was.
    #[prost(message, optional, tag = "2")]
    pub agent_info: Option<AgentInfo>,
    /// To be echoed.
    #[prost(uint64, tag = "4")]
    pub features_idx: u64,
    /// What is not of one unit.
    #[prost(message, optional, tag = "5")]
    pub component: Option<Component>,
    /// To be echoed.
    #[prost(uint64, tag = "6")]
    pub component_idx: u64,
    /// Set where the message is part of a set.
    #[prost(message, optional, tag = "7")]
    pub units_timestamp: Option<Timestamp>,
}

/// A unit as it is to be.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct UnitExpected {
    /// Together with the type it names the unit.
    #[prost(string, tag = "1")]
    pub id: String,
    /// [`INPUT`] or [`OUTPUT`].
    #[prost(int32, tag = "2")]
    pub r#type: i32,
    /// A [`super::seam::State`]: HEALTHY or STOPPED.
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// Grows with each configuration.
    #[prost(uint64, tag = "4")]
    pub config_state_idx: u64,
    /// Present only if the agent thinks that we lack it.
    #[prost(message, optional, tag = "5")]
    pub config: Option<UnitConfig>,
    /// ERROR 0, WARN 1, INFO 2, DEBUG 3, TRACE 4.
    #[prost(int32, tag = "6")]
    pub log_level: i32,
}

/// The configuration of a unit (`UnitExpectedConfig`).
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct UnitConfig {
    /// As the policy has it.
    #[prost(message, optional, tag = "1")]
    pub source: Option<Struct>,
    /// `fleet-server`, `elasticsearch`, ...
    #[prost(string, tag = "3")]
    pub r#type: String,
}

/// The agent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AgentInfo {
    /// Empty before the enrolment.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// What is not of one unit.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Component {
    /// Tracing.
    #[prost(message, optional, tag = "2")]
    pub apm_config: Option<ApmConfig>,
}

/// Tracing.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct ApmConfig {
    /// The one kind there is.
    #[prost(message, optional, tag = "1")]
    pub elastic: Option<ElasticApm>,
}

/// Tracing to an APM server of Elastic (`ElasticAPM`).
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct ElasticApm {
    /// How its certificate is looked at.
    #[prost(message, optional, tag = "1")]
    pub tls: Option<ElasticApmTls>,
    /// Names the deployment.
    #[prost(string, tag = "2")]
    pub environment: String,
    /// Secret.
    #[prost(string, tag = "3")]
    pub api_key: String,
    /// Secret.
    #[prost(string, tag = "4")]
    pub secret_token: String,
    /// URLs.
    #[prost(string, repeated, tag = "5")]
    pub hosts: Vec<String>,
    /// `a=b,c=d`
    #[prost(string, tag = "6")]
    pub global_labels: String,
    /// 0 to 1.
    #[prost(float, optional, tag = "7")]
    pub sampling_rate: Option<f32>,
}

/// TLS of an [`ElasticApm`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ElasticApmTls {
    /// Any certificate will do.
    #[prost(bool, tag = "1")]
    pub skip_verify: bool,
    /// This one will do.
    #[prost(string, tag = "2")]
    pub server_cert: String,
    /// Those of this CA will do.
    #[prost(string, tag = "3")]
    pub server_ca: String,
}

/// What the agent asks for.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ActionRequest {
    /// To be named in the answer.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Of an action of a unit.
    #[prost(string, tag = "2")]
    pub name: String,
    /// JSON.
    #[prost(bytes = "vec", tag = "3")]
    pub params: Vec<u8>,
    /// Which unit is meant.
    #[prost(string, tag = "4")]
    pub unit_id: String,
    /// [`INPUT`] or [`OUTPUT`].
    #[prost(int32, tag = "5")]
    pub unit_type: i32,
    /// [`ACTION_CUSTOM`] or [`ACTION_DIAGNOSTICS`].
    #[prost(int32, tag = "6")]
    pub r#type: i32,
    /// ALL 0, COMPONENT 1, [`LEVEL_UNIT`].
    #[prost(int32, tag = "7")]
    pub level: i32,
}

/// The answer to an [`ActionRequest`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct ActionResponse {
    /// The token of [`StartUpInfo`].
    #[prost(string, tag = "1")]
    pub token: String,
    /// Of the request.
    #[prost(string, tag = "2")]
    pub id: String,
    /// [`SUCCESS`] or [`FAILED`].
    #[prost(int32, tag = "3")]
    pub status: i32,
    /// JSON.
    #[prost(bytes = "vec", tag = "4")]
    pub result: Vec<u8>,
    /// Files.
    #[prost(message, repeated, tag = "5")]
    pub diagnostic: Vec<ActionDiagnostic>,
}

/// A file of diagnostics (`ActionDiagnosticUnitResult`).
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct ActionDiagnostic {
    /// What it is.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its name in the bundle.
    #[prost(string, tag = "2")]
    pub filename: String,
    /// For people.
    #[prost(string, tag = "3")]
    pub description: String,
    /// `text/plain`, ...
    #[prost(string, tag = "4")]
    pub content_type: String,
    /// Without secrets.
    #[prost(bytes = "vec", tag = "5")]
    pub content: Vec<u8>,
    /// When it was made.
    #[prost(message, optional, tag = "6")]
    pub generated: Option<Timestamp>,
}

/// `google.protobuf.Timestamp`
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub struct Timestamp {
    /// Since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Below a second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.protobuf.Struct`
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Struct {
    /// By their names.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// `google.protobuf.Value`
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Value {
    /// Absent counts as null.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

/// What a [`Value`] holds.
#[derive(Clone, PartialEq, prost::Oneof)]
#[prost(skip_debug)]
pub enum Kind {
    /// Always 0.
    #[prost(int32, tag = "1")]
    Null(i32),
    /// A double, whatever it was.
    #[prost(double, tag = "2")]
    Number(f64),
    /// A text.
    #[prost(string, tag = "3")]
    Text(String),
    /// A truth value.
    #[prost(bool, tag = "4")]
    Boolean(bool),
    /// A map.
    #[prost(message, tag = "5")]
    Struct(Struct),
    /// A list.
    #[prost(message, tag = "6")]
    List(ListValue),
}

/// `google.protobuf.ListValue`
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct ListValue {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}
