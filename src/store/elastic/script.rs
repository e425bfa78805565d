//! The painless scripts: constants, so that the cluster compiles each once. Values are parameters, never text.

use serde::Serialize;

use crate::store::documents::CLOCK_AHEAD_SECONDS_MAX;

const _: () = assert!(CLOCK_AHEAD_SECONDS_MAX == 600, "the scripts below say so, too");

/// A constant script.
#[derive(Clone, Copy)]
pub(super) struct Script(&'static str);

/// Replaces the fields of `doc` whole and takes those of `remove` out; with `at` only if the stored `last_checkin` is not
/// newer, by the second. A stored time that is none does not count, nor one of a clock that was ahead (`CLOCK_AHEAD_SECONDS_MAX`).
pub(super) const CHANGE: Script = Script(concat!(
    "def s=ctx._source;def l=s.last_checkin;",
    "if(params.at!=null&&l instanceof String){try{",
    "long d=ZonedDateTime.parse(l).toEpochSecond()-ZonedDateTime.parse(params.at).toEpochSecond();",
    "if(d>0&&d<=600){ctx.op='none';return}",
    "}catch(Exception e){}}",
    "s.putAll(params.doc);for(f in params.remove){s.remove(f)}",
));

/// Sets `last_checkin` and `updated_at`, unless the stored `last_checkin` is newer in the same way. What [`CHANGE`] could do as well: thousands
/// of these travel in one request, and each carries its script.
pub(super) const HEARTBEAT: Script = Script(concat!(
    "def s=ctx._source,l=s.last_checkin;try{long d=ZonedDateTime.parse(l).toEpochSecond()-params.seconds;",
    "if(d>0&&d<=600){ctx.op='none';return}}catch(Exception e){}s.last_checkin=s.updated_at=params.at",
));

/// Sets `policy_revision_idx` if the policy is still `policy_id` and the stored revision is lower.
pub(super) const ACKNOWLEDGE: Script = Script(concat!(
    "def s=ctx._source;def r=s.policy_revision_idx;",
    "if(s.policy_id!=params.policy_id||(r instanceof Number&&r>=params.revision_idx)){ctx.op='none';return}",
    "s.policy_revision_idx=params.revision_idx;s.updated_at=params.at;s.remove('default_api_key_history')",
));

/// Deletes an agent's document if its access key is still `access_key`.
pub(super) const DELETE_IF_OURS: Script =
    Script("ctx.op=ctx._source.access_api_key_id==params.access_key?'delete':'none'");

/// Sets the fields of an agent's output, if its key is still `replaces` (empty: none), and keeps `retire` to be invalidated.
pub(super) const OUTPUT_KEY: Script = Script(concat!(
    "def s=ctx._source;if(!(s.outputs instanceof Map)){s.outputs=new HashMap()}",
    "def o=s.outputs[params.output];if(!(o instanceof Map)){o=new HashMap();s.outputs[params.output]=o}",
    "def id=o.api_key_id==null?'':o.api_key_id.toString();if(id!=params.replaces){ctx.op='none';return}",
    "o.putAll(params.fields);if(params.retire==null){return}",
    "if(!(o.to_retire_api_key_ids instanceof List)){o.to_retire_api_key_ids=new ArrayList()}",
    "for(r in o.to_retire_api_key_ids){if(r instanceof Map&&r.id==params.retire.id){return}}",
    "o.to_retire_api_key_ids.add(params.retire)",
));

/// Takes an output that is gone out of an agent's document, if its key is still `replaces` (empty: none); its keys are kept at
/// another output to be invalidated.
pub(super) const OUTPUT_GONE: Script = Script(concat!(
    "def s=ctx._source;if(!(s.outputs instanceof Map)||!(s.outputs[params.output] instanceof Map)){ctx.op='none';return}",
    "def id=s.outputs[params.output].api_key_id;if((id==null?'':id.toString())!=params.replaces){ctx.op='none';return}",
    "def o=s.outputs[params.keeper];if(!(o instanceof Map)){ctx.op='none';return}",
    "s.outputs.remove(params.output);",
    "if(!(o.to_retire_api_key_ids instanceof List)){o.to_retire_api_key_ids=new ArrayList()}",
    "for(k in params.retire){boolean known=false;",
    "for(r in o.to_retire_api_key_ids){if(r instanceof Map&&r.id==k.id){known=true}}",
    "if(!known){o.to_retire_api_key_ids.add(k)}}",
));

/// Gives an agent's document the id that the agent goes by; what else it says of the agent stays.
pub(super) const NAME_AGENT: Script =
    Script("def s=ctx._source;if(!(s.agent instanceof Map)){s.agent=new HashMap()}s.agent.id=ctx._id");

/// The one output key of an agent of old, which stood in fields of its own, becomes one that is to be invalidated, with those
/// that were before.
pub(super) const RETIRE_DEFAULT_KEY: Script = Script(concat!(
    "def s=ctx._source;def all=new ArrayList();",
    "if(s.default_api_key_history instanceof List){all.addAll(s.default_api_key_history)}",
    "if(s.default_api_key_id instanceof String&&s.default_api_key_id!=''){",
    "all.add(['id':s.default_api_key_id,'retired_at':params.at])}",
    "def hash=s.policy_output_permissions_hash;if(!(s.outputs instanceof Map)){s.outputs=new HashMap()}",
    "s.outputs['default']=['type':'elasticsearch','to_retire_api_key_ids':all,'api_key':'','api_key_id':'',",
    "'permissions_hash':hash==null?'':hash];",
    "for(f in ['default_api_key','default_api_key_id','default_api_key_history','policy_output_permissions_hash']){",
    "s[f]=null}",
));

/// Forgets keys that were to be invalidated and are.
pub(super) const RETIRED: Script = Script(concat!(
    "def s=ctx._source;if(!(s.outputs instanceof Map)){ctx.op='none';return}boolean done=false;",
    "for(o in s.outputs.values()){if(o instanceof Map&&o.to_retire_api_key_ids instanceof List){",
    "if(o.to_retire_api_key_ids.removeIf(r->r instanceof Map&&params.ids.contains(r.id))){done=true}}}",
    "if(!done){ctx.op='none'}",
));

/// The end of a file: its status, and the hash that its sender gave.
pub(super) const END_FILE: Script = Script(concat!(
    "def s=ctx._source;if(!(s.file instanceof Map)){s.file=new HashMap()}s.file.Status=params.status;",
    "if(params.hash!=null){s.transithash=['sha256':params.hash]}",
));

/// Bytes of a chunk: what was sent as CBOR is bytes, what was sent as JSON is base64.
pub(super) const DATA_BYTES: Script = Script(concat!(
    "def d=params._source.data;if(d==null){return null}if(d instanceof String){",
    "int p=d.endsWith('==')?2:(d.endsWith('=')?1:0);return d.length()/4*3-p}return d.length",
));

/// Where an agent stands in an action's list and how long that is: a field of a search, in place of the list itself.
pub(super) const PLACE: Script = Script(
    "def a=params._source.agents;if(!(a instanceof List)){a=[a]}return [a.indexOf(params.agent),a.size()]",
);

#[derive(Serialize)]
struct Update<'a, P> {
    script: Call<'a, P>,
}

#[derive(Serialize)]
struct Call<'a, P> {
    lang: &'static str,
    source: &'static str,
    params: &'a P,
}

impl Script {
    /// The body of an update by this script.
    pub(super) fn with(self, params: &impl Serialize) -> String {
        // our own types always have a JSON text
        serde_json::to_string(&Update { script: self.call(params) }).unwrap_or_default()
    }

    /// The script as a value, for a search.
    pub(super) fn value(self, params: &impl Serialize) -> serde_json::Value {
        serde_json::to_value(self.call(params)).unwrap_or_default()
    }

    fn call<P>(self, params: &P) -> Call<'_, P> {
        Call { lang: "painless", source: self.0, params }
    }
}
