package chserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"text/template"
)

// Paths inside a data directory.
func configPath(dir string) string   { return filepath.Join(dir, "config.xml") }
func usersPath(dir string) string    { return filepath.Join(dir, "users.xml") }
func passwordPath(dir string) string { return filepath.Join(dir, "password") }
func dbPath(dir string) string       { return filepath.Join(dir, "db") }
func logPath(dir string) string      { return filepath.Join(dir, "server.log") }

// defaultSettings keep an idle server at 200 to 300 MB and two cores useful for
// others than merges. The names are those of ClickHouse's server settings.
func defaultSettings() map[string]string {
	return map[string]string{
		"mark_cache_size":                              strconv.Itoa(64 << 20),
		"index_mark_cache_size":                        strconv.Itoa(16 << 20),
		"uncompressed_cache_size":                      "0",
		"index_uncompressed_cache_size":                "0",
		"mmap_cache_size":                              "64",
		"compiled_expression_cache_size":               strconv.Itoa(16 << 20),
		"background_pool_size":                         strconv.Itoa(max(2, min(runtime.NumCPU(), 16))),
		"background_move_pool_size":                    "1",
		"background_fetches_pool_size":                 "1",
		"background_common_pool_size":                  "2",
		"background_schedule_pool_size":                "8",
		"background_buffer_flush_schedule_pool_size":   "1",
		"background_distributed_schedule_pool_size":    "2",
		"background_message_broker_schedule_pool_size": "1",
		"tables_loader_foreground_pool_size":           "2",
		"tables_loader_background_pool_size":           "2",
		"max_concurrent_queries":                       "200",
		"max_table_size_to_drop":                       "0",
		"max_partition_size_to_drop":                   "0",
	}
}

type setting struct{ Name, Value string }

type configData struct {
	Log, Users  string
	MemoryLimit int64
	Settings    []setting
}

// configTemplate: the merge_tree block exists because the defaults of these
// limits are made for a pool of 16 threads; with a smaller one mutations and big
// merges would never find enough free entries.
var configTemplate = template.Must(template.New("config.xml").Funcs(template.FuncMap{"xml": escapeXML}).Parse(`<clickhouse>
  <logger>
    <log>{{xml .Log}}</log>
    <size>10M</size>
    <count>3</count>
  </logger>
  <user_directories><users_xml><path>{{xml .Users}}</path></users_xml></user_directories>
  <max_server_memory_usage>{{.MemoryLimit}}</max_server_memory_usage>
  <merge_tree>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
  </merge_tree>
{{- range .Settings}}
  <{{.Name}}>{{xml .Value}}</{{.Name}}>
{{- end}}
</clickhouse>
`))

// usersTemplate: the start query runs as the user default, which cannot have a
// password. Its rights are what that query needs, and max_sessions_for_user
// keeps everyone else out for as long as it runs, over either listener. The limit
// is in a profile of its own because all users inherit from the profile default.
//
// The user of the product may do everything but read or write outside of
// ClickHouse, which is none of its business; remote() is how the tests of
// clusters reach another server.
var usersTemplate = template.Must(template.New("users.xml").Funcs(template.FuncMap{"xml": escapeXML}).Parse(`<clickhouse>
  <profiles>
    <default/>
    <start><max_sessions_for_user>1</max_sessions_for_user></start>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>start</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON _local.*</query>
        <query>GRANT TABLE ENGINE ON File</query>
        <query>GRANT SELECT, CREATE TABLE ON default.` + "`table`" + `</query>
      </grants>
    </default>
    <{{.User}}>
      <password_sha256_hex>{{.PasswordHash}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT ALL ON *.*</query>
        <query>REVOKE SOURCES ON *.*</query>
        <query>GRANT REMOTE ON *.*</query>
      </grants>
    </{{.User}}>
  </users>
</clickhouse>
`))

type usersData struct{ User, PasswordHash string }

// writeConfig writes config.xml and users.xml. Names and meaning of all elements:
// the ClickHouse documentation, "Server settings" and "Users and roles settings".
func writeConfig(o Options, password string) error {
	settings := defaultSettings()
	maps.Copy(settings, o.Settings)
	data := configData{Log: logPath(o.DataDir), Users: usersPath(o.DataDir), MemoryLimit: o.MemoryLimit}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		data.Settings = append(data.Settings, setting{name, settings[name]})
	}
	if err := writeTemplate(configPath(o.DataDir), configTemplate, data); err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(password))
	return writeTemplate(usersPath(o.DataDir), usersTemplate, usersData{User, hex.EncodeToString(hash[:])})
}

func writeTemplate(path string, t *template.Template, data any) error {
	var buf bytes.Buffer
	if err := t.Execute(&buf, data); err != nil {
		return fmt.Errorf("write %s: %w", t.Name(), err)
	}
	if err := writePrivate(path, buf.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", t.Name(), err)
	}
	return nil
}

func escapeXML(text string) (string, error) {
	var buf bytes.Buffer
	err := xml.EscapeText(&buf, []byte(text))
	return buf.String(), err
}
