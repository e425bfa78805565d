//! The messages of OpAMP as Rust types: names, numbers and types of fields are those of the public specification. Fields that
//! nobody here looks at are left out; the decoder skips them.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a collector sends.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AgentToServer {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub instance_uid: Vec<u8>,
    /// One more with each message.
    #[prost(uint64, tag = "2")]
    pub sequence_num: u64,
    /// Who it is; may be absent if it was told before.
    #[prost(message, optional, tag = "3")]
    pub agent_description: Option<AgentDescription>,
    /// Bits, see [`CAPABILITIES`].
    #[prost(uint64, tag = "4")]
    pub capabilities: u64,
    /// How it does.
    #[prost(message, optional, tag = "5")]
    pub health: Option<ComponentHealth>,
    /// What it runs.
    #[prost(message, optional, tag = "6")]
    pub effective_config: Option<EffectiveConfig>,
    /// What became of the configuration that it was given.
    #[prost(message, optional, tag = "7")]
    pub remote_config_status: Option<RemoteConfigStatus>,
    /// Set in its last message.
    #[prost(message, optional, tag = "9")]
    pub agent_disconnect: Option<AgentDisconnect>,
    /// Bits: [`REQUEST_INSTANCE_UID`].
    #[prost(uint64, tag = "10")]
    pub flags: u64,
}

/// Flag of a collector that wants another instance UID.
pub const REQUEST_INSTANCE_UID: u64 = 1;

/// Capability of a collector that takes a configuration.
pub const ACCEPTS_REMOTE_CONFIG: u64 = 1 << 1;

/// Names of a collector's capabilities, from the least significant bit on.
pub const CAPABILITIES: [&str; 16] = [
    "ReportsStatus",
    "AcceptsRemoteConfig",
    "ReportsEffectiveConfig",
    "AcceptsPackages",
    "ReportsPackageStatuses",
    "ReportsOwnTraces",
    "ReportsOwnMetrics",
    "ReportsOwnLogs",
    "AcceptsOpAMPConnectionSettings",
    "AcceptsOtherConnectionSettings",
    "AcceptsRestartCommand",
    "ReportsHealth",
    "ReportsRemoteConfig",
    "ReportsHeartbeat",
    "ReportsAvailableComponents",
    "ReportsConnectionSettingsStatus",
];

/// The collector goes.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct AgentDisconnect {}

/// Who a collector is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AgentDescription {
    /// service.name, service.version, ...
    #[prost(message, repeated, tag = "1")]
    pub identifying_attributes: Vec<KeyValue>,
    /// host.name, os.type, ...
    #[prost(message, repeated, tag = "2")]
    pub non_identifying_attributes: Vec<KeyValue>,
}

/// An attribute.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of any type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AnyValue {
    /// Absent for null.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Value>,
}

/// What an [`AnyValue`] holds.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// A text.
    #[prost(string, tag = "1")]
    Text(String),
    /// A truth value.
    #[prost(bool, tag = "2")]
    Boolean(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Integer(i64),
    /// A number.
    #[prost(double, tag = "4")]
    Float(f64),
    /// A list.
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    /// A map.
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    /// Bytes.
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

/// A list of values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ArrayValue {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// A map, as a list of its entries.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValueList {
    /// The last of equal keys counts.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// How a component does. As JSON it is what the agent document holds: default values are left out.
#[derive(Clone, PartialEq, Serialize, prost::Message)]
pub struct ComponentHealth {
    /// Whether it is well.
    #[prost(bool, tag = "1")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub healthy: bool,
    /// Since when it runs, nanoseconds since 1970.
    #[prost(fixed64, tag = "2")]
    #[serde(skip_serializing_if = "is_zero")]
    pub start_time_unix_nano: u64,
    /// For people.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
    /// In the collector's own words.
    #[prost(string, tag = "4")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// When that was so, nanoseconds since 1970.
    #[prost(fixed64, tag = "5")]
    #[serde(skip_serializing_if = "is_zero")]
    pub status_time_unix_nano: u64,
    /// Its parts by name.
    #[prost(btree_map = "string, message", tag = "6")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub component_health_map: BTreeMap<String, ComponentHealth>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a collector runs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EffectiveConfig {
    /// Its files.
    #[prost(message, optional, tag = "1")]
    pub config_map: Option<AgentConfigMap>,
}

/// Files of a configuration.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AgentConfigMap {
    /// By name; the name of an only one is empty.
    #[prost(btree_map = "string, message", tag = "1")]
    pub config_map: BTreeMap<String, AgentConfigFile>,
}

/// A file of a configuration.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AgentConfigFile {
    /// Its content.
    #[prost(bytes = "vec", tag = "1")]
    pub body: Vec<u8>,
    /// `text/yaml`
    #[prost(string, tag = "2")]
    pub content_type: String,
}

/// What became of a configuration that was given.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RemoteConfigStatus {
    /// [`AgentRemoteConfig::config_hash`] of the last that came.
    #[prost(bytes = "vec", tag = "1")]
    pub last_remote_config_hash: Vec<u8>,
    /// 1 applied, 2 being applied, 3 failed.
    #[prost(int32, tag = "2")]
    pub status: i32,
    /// Why it failed.
    #[prost(string, tag = "3")]
    pub error_message: String,
}

/// What a collector gets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerToAgent {
    /// As it came.
    #[prost(bytes = "vec", tag = "1")]
    pub instance_uid: Vec<u8>,
    /// Then nothing else is set.
    #[prost(message, optional, tag = "2")]
    pub error_response: Option<ServerErrorResponse>,
    /// A configuration to run.
    #[prost(message, optional, tag = "3")]
    pub remote_config: Option<AgentRemoteConfig>,
    /// Bits: [`REPORT_FULL_STATE`].
    #[prost(uint64, tag = "6")]
    pub flags: u64,
    /// Bits: [`ACCEPTS_STATUS`], [`OFFERS_REMOTE_CONFIG`], [`ACCEPTS_EFFECTIVE_CONFIG`].
    #[prost(uint64, tag = "7")]
    pub capabilities: u64,
    /// Another identity.
    #[prost(message, optional, tag = "8")]
    pub agent_identification: Option<AgentIdentification>,
    /// Of ours.
    #[prost(message, optional, tag = "10")]
    pub custom_capabilities: Option<CustomCapabilities>,
}

/// Flag that asks for everything.
pub const REPORT_FULL_STATE: u64 = 1;
/// Capability of a server that listens to what it is told.
pub const ACCEPTS_STATUS: u64 = 1;
/// Capability of a server that gives configurations.
pub const OFFERS_REMOTE_CONFIG: u64 = 1 << 1;
/// Capability of a server that listens to what a collector runs.
pub const ACCEPTS_EFFECTIVE_CONFIG: u64 = 1 << 2;

/// Why a message came to nothing.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ServerErrorResponse {
    /// 1 bad request, 2 unavailable.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub error_message: String,
    /// When to try again.
    #[prost(message, optional, tag = "3")]
    pub retry_info: Option<RetryInfo>,
}

/// When to try again.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct RetryInfo {
    /// Nanoseconds from now.
    #[prost(uint64, tag = "1")]
    pub retry_after_nanoseconds: u64,
}

/// An identity for a collector.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AgentIdentification {
    /// 16 bytes, a UUID of version 7.
    #[prost(bytes = "vec", tag = "1")]
    pub new_instance_uid: Vec<u8>,
}

/// A configuration to run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AgentRemoteConfig {
    /// Its files.
    #[prost(message, optional, tag = "1")]
    pub config: Option<AgentConfigMap>,
    /// Tells it from others.
    #[prost(bytes = "vec", tag = "2")]
    pub config_hash: Vec<u8>,
}

/// Capabilities beyond the specification.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CustomCapabilities {
    /// None.
    #[prost(string, repeated, tag = "1")]
    pub capabilities: Vec<String>,
}
