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

	<STREAM id="sitewidesiap2-extras">
		<doc>Metadata of the image service over ivoa.obscore.</doc>
		<meta name="description">The images of this archive's spectroscopic surveys (SIAP 2): two-dimensional spectra of slits, and
			pictures of the objects. The same rows are in ivoa.obscore.</meta>
		<meta name="creationDate">2026-11-25T00:00:00Z</meta>
		<meta name="subject">spectroscopy</meta>
		<meta name="subject">surveys</meta>
		<meta name="shortName">images SIA2</meta>
		<meta name="title">Two-dimensional spectra and pictures of objects</meta>
		<meta name="sia.type">Pointed</meta>
		<meta name="testQuery.pos.ra">10</meta>
		<meta name="testQuery.pos.dec">-5</meta>
		<meta name="testQuery.size.ra">0.1</meta>
		<meta name="testQuery.size.dec">0.1</meta>
	</STREAM>

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

		<meta name="_example" title="How tables join">
			Columns with the same meaning have the same name in all releases. This lists which columns of which tables go together,
			so that spectra, redshifts, photometry, pointings and whatever else a release has can be joined:

			.. tapquery::

				SELECT from_table, from_column, target_table, target_column
				FROM tap_schema.keys JOIN tap_schema.key_columns USING (key_id)
				WHERE from_table NOT LIKE 'tap_schema%'
				ORDER BY from_table, target_table
		</meta>

		<meta name="_example" title="How many spectra each survey has, by year">
			Times are Modified Julian Dates (UTC); 51544 is the first day of 2000:

			.. tapquery::

				SELECT obs_collection, FLOOR(2000 + (t_min - 51544) / 365.25) AS observed, count(*) AS spectra
				FROM ivoa.obscore
				WHERE t_min IS NOT NULL
				GROUP BY obs_collection, observed
				ORDER BY obs_collection, observed
		</meta>
	</STREAM>
</resource>
