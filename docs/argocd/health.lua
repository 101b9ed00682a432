-- Health of every Goldpool kind for Argo CD: what its conditions say, read as kstatus reads them.
-- Argo CD offers the base and table libraries, nothing else.
local health = { status = "Progressing", message = "waiting for the operator" }

local status = obj.status or {}
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function is_true(kind)
  return found[kind] ~= nil and found[kind].status == "True"
end

local function said(kind, fallback)
  local condition = found[kind] or {}
  if condition.message ~= nil and condition.message ~= "" then
    return (condition.reason or kind) .. ": " .. condition.message
  end
  return condition.reason or fallback
end

if obj.metadata.deletionTimestamp ~= nil then
  health.message = said("DeletionBlocked", "being deleted")
elseif status.observedGeneration ~= obj.metadata.generation then
  -- What the conditions say is about an older spec.
  health.message = "the operator has not seen this generation yet"
elseif is_true("Stalled") then
  health.status = "Degraded"
  health.message = said("Stalled", "stalled")
elseif is_true("Reconciling") then
  health.message = said("Reconciling", "in progress")
elseif is_true("Ready") then
  health.status = "Healthy"
  health.message = said("Ready", "ready")
else
  -- It waits for somebody: a Volume for its first machine, for example.
  health.message = said("Ready", health.message)
end

return health
