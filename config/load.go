package config

import "reflect"

// Load reads the files, later ones over earlier ones key by key; the lists
// sources, endpoints and subscribers merge by name, other lists are replaced,
// and a key without a value leaves things as they are. With no files, all is
// default. An error is a *Problems.
//
// further are checks of what this package cannot know, such as whether a preset
// exists. They are made even of a configuration with problems, so that all are
// reported at once; what a check says of an entry that has one is left out.
func Load(paths []string, further ...func(*Config) error) (*Config, error) {
	var problems Problems
	var root *node
	for _, path := range paths {
		root = overlay(reflect.TypeFor[Config](), root, readFile(path, &problems))
	}
	return build(root, paths, &problems, further)
}

// build makes the configuration from the merged files.
func build(root *node, paths []string, problems *Problems, further []func(*Config) error) (*Config, error) {
	c := &Config{marks: map[string]mark{}}
	setDefaults(reflect.ValueOf(c).Elem())
	if root != nil {
		d := decoder{problems: problems, marks: c.marks}
		d.decode(root, reflect.ValueOf(c).Elem(), key{})
	}
	c.complete()
	c.check(problems)
	c.checkFurther(problems, further)
	if err := problems.Err(paths); err != nil {
		return nil, err
	}
	return c, nil
}

// checkFurther notes what checks of others find.
func (c *Config) checkFurther(problems *Problems, further []func(*Config) error) {
	for _, p := range problems.List {
		c.faulty = append(c.faulty, p.Key)
	}
	for _, check := range further {
		problems.addFurther(check(c))
	}
}

// complete fills in defaults that depend on other keys.
func (c *Config) complete() {
	for i := range c.Sources {
		s := &c.Sources[i]
		if s.Preset != "" {
			continue
		}
		if len(s.Event) == 0 {
			s.Event = []string{"json:type"}
		}
		if len(s.DeliveryID) == 0 {
			s.DeliveryID = []string{"hash:body"}
		}
	}
}
