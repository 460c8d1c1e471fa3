<?xml version="1.0" encoding="utf-8"?>
<!-- What DaCHS lets a site define for all of its services; linked as etc/userconfig.rd of each DaCHS root. -->
<resource schema="__system">
	<meta name="description">Site-wide definitions of Specola.</meta>

	<!-- Every program of DaCHS that parses ADQL reads this file (//tap feeds the examples below): also those that run
	asynchronous jobs get what vo/corrections.py puts right. -->
	<LOOP>
		<codeItems>
			from vo import corrections
			corrections.apply()
			if False:
				yield {}
		</codeItems>
		<events/>
	</LOOP>

	<STREAM id="tapexamples">
		<doc>Examples of TAP queries (DALI 1.1, section 2.3): they run on any archive of Specola, whatever releases it has.</doc>

		<meta name="_example" title="What releases there are">
			:taptable:`specola.releases` has a row for each release. The name of its schema is the prefix of all of its tables:

			.. tapquery::

				SELECT schema_name, title, n_spectra, n_redshifts, citation
				FROM specola.releases
				ORDER BY schema_name
		</meta>

		<meta name="_example" title="Spectra in a cone">
			:taptable:`ivoa.obscore` has all spectra of all releases; access_url is the FITS file, and the response carries a
			datalink service for everything else. Position and radius are in degrees, ICRS:

			.. tapquery::

				SELECT obs_collection, target_name, s_ra, s_dec, em_min, em_max, access_url
				FROM ivoa.obscore
				WHERE dataproduct_type='spectrum'
				  AND 1=CONTAINS(POINT(s_ra, s_dec), CIRCLE(34.4, -5.1, 0.05))
		</meta>

		<meta name="_example" title="Spectra that cover a wavelength">
			Which releases have spectra that cover H-alpha at redshift 0.2 (6563 Angstrom times 1.2, in metres)?

			.. tapquery::

				SELECT source_table, count(*) AS spectra
				FROM ivoa.obscore
				WHERE 7.8756e-7 BETWEEN em_min AND em_max
				GROUP BY source_table
		</meta>

		<meta name="_example" title="Which columns hold redshifts">
			All columns are described by UCD. This finds every column with a redshift, with its table:

			.. tapquery::

				SELECT table_name, column_name, description
				FROM tap_schema.columns
				WHERE ucd LIKE 'src.redshift%'
				ORDER BY table_name
		</meta>
	</STREAM>
</resource>
