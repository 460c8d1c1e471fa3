<?xml version="1.0" encoding="utf-8"?>
<!-- The list of what is in this archive. Filled by vo/load.py in the transaction that makes a release. -->
<resource schema="specola" resdir="specola">
	<meta name="title">Releases of this archive</meta>
	<meta name="shortName">releases</meta>
	<meta name="creationDate">2026-11-22T00:00:00Z</meta>
	<meta name="description">One row for each survey release that this archive serves.</meta>
	<meta name="subject">surveys</meta>

	<table id="releases" onDisk="True" adql="True" primary="schema_name">
		<meta name="title">Releases</meta>
		<meta name="description">One row for each survey release that this archive serves, with what it is called in TAP.</meta>
		<column name="schema_name" type="text" required="True" ucd="meta.id;meta.main"
			description="Name of the release's schema in TAP: survey_release."/>
		<column name="survey" type="text" required="True" ucd="meta.id" description="Short name of the survey."/>
		<column name="release" type="text" required="True" ucd="meta.version" description="Short name of the release."/>
		<column name="kind" type="text" required="True" ucd="meta.code.class"
			description="spectra or catalogue (a release without spectra)."/>
		<column name="title" type="text" required="True" ucd="meta.title" description="Title of the release."/>
		<column name="simulated" type="boolean" required="True" ucd="meta.code;meta.modelled"
			description="True where all data are simulated."/>
		<column name="n_spectra" type="integer" required="True" ucd="meta.number;meta.dataset" description="Number of spectra."/>
		<column name="n_redshifts" type="integer" required="True" ucd="meta.number" description="Number of redshift measurements."/>
		<column name="rights" type="text" ucd="meta.curation" description="Licence and conditions."/>
		<column name="citation" type="text" ucd="meta.bib" description="How the data are to be cited."/>
		<column name="created" type="timestamp" required="True" ucd="time.creation;meta.dataset"
			description="When the bundle of the release was made (UTC)."/>
		<column name="ingested" type="timestamp" required="True" ucd="time.release"
			description="When the release was taken into this archive (UTC)."/>
		<column name="bundle" type="text" required="True" ucd="meta.checksum"
			description="SHA-256 of the bundle's description, which holds the checksums of all of its content."/>
	</table>

	<table id="withdrawn" onDisk="True" adql="True" primary="schema_name">
		<meta name="title">Withdrawn releases</meta>
		<meta name="description">One row for each release that this archive served and no longer does, with the reason. Its name is never
			used again; the registry keeps its records as deleted.</meta>
		<column name="schema_name" type="text" required="True" ucd="meta.id;meta.main"
			description="Name the release's schema had in TAP: survey_release."/>
		<column name="survey" type="text" required="True" ucd="meta.id" description="Short name of the survey."/>
		<column name="release" type="text" required="True" ucd="meta.version" description="Short name of the release."/>
		<column name="title" type="text" required="True" ucd="meta.title" description="Title of the release."/>
		<column name="ingested" type="timestamp" required="True" ucd="time.release"
			description="When the release was taken into this archive (UTC)."/>
		<column name="withdrawn" type="timestamp" required="True" ucd="time.end"
			description="When the release was withdrawn (UTC)."/>
		<column name="reason" type="text" required="True" ucd="meta.note" description="Why it was withdrawn."/>
		<column name="bundle" type="text" required="True" ucd="meta.checksum"
			description="SHA-256 of the bundle's description, which holds the checksums of all of its content."/>
	</table>

	<data id="create">
		<make table="releases"/>
		<make table="withdrawn"/>
	</data>
</resource>
