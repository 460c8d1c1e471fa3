<?xml version="1.0" encoding="utf-8"?>
<!-- What all releases have in common. The RD of a release is written by ingest/rd.py from the bundle and the column
registry and FEEDs these streams; it has nothing of its own but its metadata and its tables.

Where a DaCHS default is wrong for us, the right expression stands here and not in a release. -->
<resource schema="specola" resdir="specola">
	<meta name="title">Specola streams</meta>
	<meta name="description">Definitions shared by all releases of this archive.</meta>
	<meta name="creationDate">2026-11-22T00:00:00Z</meta>
	<meta name="subject">spectroscopy</meta>

	<!-- What vo/corrections.py says is wrong in DaCHS must be put right before any RD of a release is read. -->
	<LOOP>
		<codeItems>
			from vo import corrections
			corrections.apply()
			if False:
				yield {}
		</codeItems>
		<events/>
	</LOOP>

	<STREAM id="spectrum_columns">
		<doc>Columns that the archive computes on ingest, indexes, and which service has the links.</doc>

		<column name="pub_did" type="text" required="True" ucd="meta.ref.ivoid" utype="ssa:Curation.PublisherDID"
			tablehead="Publisher DID"
			description="IVOA identifier of the spectrum; it is the ID that datalink and spectrum services take."/>
		<column name="preview" type="text" ucd="meta.ref.url;meta.preview" displayHint="type=product"
			tablehead="Preview" description="Address of a plot of the spectrum (PNG)."/>
		<column name="work_product" type="text" ucd="meta.ref.url" displayHint="type=product"
			tablehead="Work file" description="Address of the file the spectrum was made from."/>
		<column name="coverage" type="spoly" unit="deg" ucd="pos.outline;obs.field"
			tablehead="Coverage"
			description="Outline of the slit or fibre on the sky, as the square around the circle of diameter aperture, with north up (ICRS)."/>

		<index columns="pub_did"/>
		<index name="target" columns="target_name">lower(target_name)</index>
		<index columns="coverage" method="GIST"/>
		<!-- SSAP asks with pgsphere, TAP with q3c: one index each. -->
		<index name="location" columns="ra,dec" method="GIST">spoint(radians(ra), radians(dec))</index>

		<meta name="_associatedDatalinkService">
			<meta name="serviceId">dl</meta>
			<meta name="idColumn">pub_did</meta>
		</meta>
	</STREAM>

	<STREAM id="spectra">
		<doc>Everything the table of spectra has beyond the registry's columns: the product interface, what the archive computes on
		ingest, indexes, and the row's place in ivoa.obscore.  Parameters: collection (an SQL literal).</doc>

		<mixin>//products#table</mixin>
		<FEED source="specola/streams#spectrum_columns"/>

		<mixin
			productType="'spectrum'"
			productSubtype="NULL"
			calibLevel="CASE WHEN flux_calib='UNCALIBRATED' THEN 1 ELSE 2 END"
			collectionName="\collection"
			obsId="spectrum_id"
			title="title"
			did="pub_did"
			creatorDID="creator_did"
			accessURL="accref"
			mime="mime"
			size="(accsize+1023)/1024"
			targetName="target_name"
			targetClass="target_class"
			ra="ra"
			dec="dec"
			fov="aperture"
			coverage="coverage"
			sResolution="NULL"
			tMin="t_min"
			tMax="t_max"
			expTime="exptime"
			tResolution="exptime"
			emMin="wave_min*1e-10"
			emMax="wave_max*1e-10"
			emResPower="res_power"
			oUCD="CASE WHEN flux_unit IN ('ct','adu','electron') THEN 'phot.count' ELSE 'phot.flux.density;em.wl' END"
			polStates="NULL"
			facilityName="facility"
			instrumentName="instrument"
			sXel1="1"
			sXel2="1"
			tXel="1"
			emXel="n_pixels"
			polXel="0"
			sPixelScale="NULL"
			emUCD="CASE WHEN wave_medium='air' THEN 'em.wl;obs.atmos' ELSE 'em.wl' END"
			preview="preview"
			>//obscore#publish</mixin>
	</STREAM>

	<STREAM id="spectra_view">
		<doc>The same columns for a view over tables of spectra: their products and their rows in ivoa.obscore are those of the tables.</doc>
		<FEED source="//products#tablecols"/>
		<FEED source="specola/streams#spectrum_columns"/>
	</STREAM>

	<STREAM id="files">
		<doc>What the table of further files has beyond the registry's columns.</doc>
		<column name="file_product" type="text" required="True" ucd="meta.ref.url" displayHint="type=product"
			tablehead="File" description="Address of the file."/>
	</STREAM>

	<STREAM id="images">
		<doc>The images among the further files in ivoa.obscore, and so in SIAP: two-dimensional spectra, and pictures of the objects.
		Parameters: collection (an SQL literal).</doc>
		<table id="images" onDisk="True" adql="False">
			<meta name="description">Images that belong to the spectra, as ivoa.obscore has them.</meta>
			<LOOP listItems="accref mime obs_id title pub_did target_name target_class facility instrument kind em_ucd">
				<events><column name="\item" type="text" description="\item"/></events>
			</LOOP>
			<LOOP listItems="ra dec t_min t_max exptime aperture wave_min wave_max res_power">
				<events><column name="\item" type="double precision" description="\item"/></events>
			</LOOP>
			<column name="accsize" type="bigint" description="accsize"><values nullLiteral="-1"/></column>
			<column name="calib" type="smallint" description="calib"><values nullLiteral="-1"/></column>
			<column name="coverage" type="spoly" description="coverage"/>
			<viewStatement>
				CREATE VIEW \\curtable AS (SELECT
					f.file_product AS accref, f.file_format AS mime, f.file_id AS obs_id, f.title, f.kind,
					replace(s.pub_did, '/ssap?' || s.spectrum_id, '/files?' || f.file_id) AS pub_did,
					s.target_name, s.target_class, s.facility, s.instrument,
					CASE WHEN s.wave_medium='air' THEN 'em.wl;obs.atmos' ELSE 'em.wl' END AS em_ucd,
					s.ra, s.dec, s.aperture::double precision AS aperture, s.coverage,
					CASE WHEN f.kind='spectrum2d' THEN s.t_min END AS t_min, CASE WHEN f.kind='spectrum2d' THEN s.t_max END AS t_max,
					CASE WHEN f.kind='spectrum2d' THEN s.exptime END AS exptime,
					CASE WHEN f.kind='spectrum2d' THEN s.wave_min END AS wave_min,
					CASE WHEN f.kind='spectrum2d' THEN s.wave_max END AS wave_max,
					CASE WHEN f.kind='spectrum2d' THEN s.res_power::double precision END AS res_power,
					f.file_size AS accsize, (CASE WHEN s.flux_calib='UNCALIBRATED' THEN 1 ELSE 2 END)::smallint AS calib
				FROM \\schema.files AS f JOIN \\schema.spectra AS s USING (spectrum_id)
				WHERE f.kind IN ('spectrum2d', 'thumbnail') AND f.file_format IN ('application/fits', 'image/png', 'image/jpeg'))
			</viewStatement>
			<mixin
				productType="'image'"
				productSubtype="kind"
				calibLevel="calib"
				collectionName="\collection"
				obsId="obs_id"
				title="title"
				did="pub_did"
				creatorDID="NULL"
				accessURL="accref"
				mime="mime"
				size="(accsize+1023)/1024"
				targetName="target_name"
				targetClass="target_class"
				ra="ra"
				dec="dec"
				fov="aperture"
				coverage="coverage"
				sResolution="NULL"
				tMin="t_min"
				tMax="t_max"
				expTime="exptime"
				tResolution="exptime"
				emMin="wave_min*1e-10"
				emMax="wave_max*1e-10"
				emResPower="res_power"
				oUCD="NULL"
				polStates="NULL"
				facilityName="facility"
				instrumentName="instrument"
				sXel1="NULL"
				sXel2="NULL"
				tXel="NULL"
				emXel="NULL"
				polXel="0"
				sPixelScale="NULL"
				emUCD="em_ucd"
				preview="NULL"
				>//obscore#publish</mixin>
		</table>
	</STREAM>

	<STREAM id="position">
		<doc>A q3c index on a table's ra and dec, declared in the way that makes DaCHS write q3c conditions.</doc>
		<index name="q3c_\\tablename" kind="q3c"><columns>ra, dec</columns>q3c_ang2ipix(ra, dec)</index>
	</STREAM>

	<STREAM id="ssa">
		<doc>The SSA service of a release. Its table has each spectrum twice, as VOTable and as FITS, so that FORMAT means what SSAP says;
		without FORMAT a spectrum is listed once, as VOTable.  Parameters (SQL literals): collection, creator, publisher,
		pdate, datasource; and sets, those of the registry in which the service is.</doc>
		<DEFAULTS sets="ivo_managed"/>
		<table id="ssa_source" onDisk="True" adql="False">
			<meta name="description">Source of the SSA view: each spectrum as VOTable and as FITS file.</meta>
			<column name="accref" type="text" utype="ssa:Access.Reference" displayHint="type=product" description="Product key"/>
			<column name="owner" type="text" description="Owner of the data"/>
			<column name="embargo" type="date" description="End of the embargo"/>
			<column name="mime" type="text" description="Media type"/>
			<column name="accsize" type="bigint" description="Size"><values nullLiteral="-1"/></column>
			<LOOP listItems="pub_did dstitle creator_did targname targclass fluxucd fluxunit fluxcalib spectralucd instrument reference">
				<events><column name="\item" type="text" description="\item"/></events>
			</LOOP>
			<LOOP listItems="redshift snr aperture timeext specmid specext specstart specend binsize specres">
				<events><column name="\item" type="real" description="\item"/></events>
			</LOOP>
			<column name="preview" type="text" ucd="meta.ref.url;meta.preview" displayHint="type=product" tablehead="Preview"
				description="Address of a plot of the spectrum (PNG)"/>
			<column name="t_min" type="double precision" unit="d" ucd="time.start;obs.exposure" tablehead="Start"
				utype="ssa:Char.TimeAxis.Coverage.Bounds.Start" description="Start of the observation (MJD, UTC)"/>
			<column name="t_max" type="double precision" unit="d" ucd="time.end;obs.exposure" tablehead="End"
				utype="ssa:Char.TimeAxis.Coverage.Bounds.Stop" description="End of the observation (MJD, UTC)"/>
			<column name="dateobs" type="double precision" description="Middle of the observation"/>
			<column name="cdate" type="timestamp" description="Date of creation"/>
			<column name="length" type="integer" description="Number of pixels"><values nullLiteral="-1"/></column>
			<column name="location" type="spoint" description="Position"/>
			<viewStatement>
				CREATE VIEW \\curtable AS (SELECT
					CASE WHEN f.mime='application/fits' THEN accref ELSE left(accref, -5) || '.vot' END AS accref,
					owner, embargo, f.mime AS mime,
					CASE WHEN f.mime='application/fits' THEN accsize END AS accsize,
					pub_did, title AS dstitle, creator_did, target_name AS targname, target_class AS targclass,
					CASE WHEN flux_unit IN ('ct','adu','electron') THEN 'phot.count' ELSE 'phot.flux.density;em.wl' END AS fluxucd,
					flux_unit AS fluxunit, flux_calib AS fluxcalib,
					CASE WHEN wave_medium='air' THEN 'em.wl;obs.atmos' ELSE 'em.wl' END AS spectralucd,
					instrument, reference,
					redshift::real, snr, aperture, exptime::real AS timeext,
					((wave_min+wave_max)*0.5e-10)::real AS specmid, ((wave_max-wave_min)*1e-10)::real AS specext,
					(wave_min*1e-10)::real AS specstart, (wave_max*1e-10)::real AS specend,
					(wave_bin*1e-10)::real AS binsize, ((wave_min+wave_max)*0.5e-10/res_power)::real AS specres,
					preview, t_min, t_max,
					(t_min+t_max)/2 AS dateobs, created AS cdate, n_pixels AS length,
					spoint(radians(ra), radians(dec)) AS location
				FROM \\schema.spectra CROSS JOIN
					(VALUES ('application/x-votable+xml'::text), ('application/fits'::text)) AS f(mime))
			</viewStatement>
		</table>

		<table id="ssa" onDisk="True" adql="False">
			<meta name="description">Spectra of this release in the structure of the Simple Spectral Access Protocol.</meta>
			<meta name="_associatedDatalinkService">
				<meta name="serviceId">dl</meta>
				<meta name="idColumn">ssa_pubDID</meta>
			</meta>
			<mixin
				sourcetable="ssa_source"
				ssa_dstitle="dstitle"
				ssa_creatorDID="creator_did"
				ssa_pubDID="pub_did"
				ssa_cdate="cdate"
				ssa_pdate="\pdate"
				ssa_bandpass="'Optical'"
				ssa_targname="targname"
				ssa_targclass="targclass"
				ssa_redshift="redshift"
				ssa_targetpos="location"
				ssa_snr="snr"
				ssa_location="location"
				ssa_aperture="aperture"
				ssa_dateObs="dateobs"
				ssa_timeExt="timeext"
				ssa_specmid="specmid"
				ssa_specext="specext"
				ssa_specstart="specstart"
				ssa_specend="specend"
				ssa_length="length"
				ssa_spectralucd="spectralucd"
				ssa_spectralunit="'Angstrom'"
				ssa_fluxucd="fluxucd"
				ssa_fluxunit="fluxunit"
				ssa_fluxcalib="fluxcalib"
				ssa_publisher="\publisher"
				ssa_creator="\creator"
				ssa_collection="\collection"
				ssa_instrument="instrument"
				ssa_datasource="\datasource"
				ssa_creationtype="'spectralExtraction'"
				ssa_reference="reference"
				ssa_binSize="binsize"
				ssa_speccalib="'ABSOLUTE'"
				ssa_specres="specres"
				copiedcolumns="preview,t_min,t_max"
				>//ssap#view</mixin>
		</table>

		<service id="ssap" allowed="ssap.xml,form">
			<meta name="shortName">\shortname</meta>
			<meta name="ssap.dataSource">\ssapsource</meta>
			<meta name="ssap.creationType">spectralExtraction</meta>
			<meta name="ssap.testQuery">\testquery</meta>
			<meta name="ssap.complianceLevel">full</meta>
			<publish render="ssap.xml" sets="\sets"/>
			<publish render="form" sets="\sets,local" service="ssap"/>
			<ssapCore queriedTable="ssa">
				<outputTable>
					<outputField name="location_ra" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
						utype="ssa:Char.SpatialAxis.Coverage.Location.Value.C1" tablehead="RA" verbLevel="15"
						select="degrees(long(ssa_location))" displayHint="sf=7" description="Right ascension (ICRS)"/>
					<outputField name="location_dec" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
						utype="ssa:Char.SpatialAxis.Coverage.Location.Value.C2" tablehead="Dec" verbLevel="15"
						select="degrees(lat(ssa_location))" displayHint="sf=7" description="Declination (ICRS)"/>
				</outputTable>
				<condDesc id="cone" combining="True" joiner="AND">
					<inputKey name="POS" type="text" unit="deg" std="True" multiplicity="single"
						utype="ssa:Char.SpatialAxis.Coverage.Location.Value"
						description="Position looked for, ICRS, as longitude,latitude in degrees"/>
					<inputKey name="SIZE" type="text" unit="deg" std="True" multiplicity="single"
						utype="ssa:Char.SpatialAxis.Coverage.Bounds.Extent"
						description="Diameter of the region around POS; one arcminute if not given"/>
					<phraseMaker>
						<code>
							from vo import ssap
							condition = ssap.cone_condition(inPars.get("POS"), inPars.get("SIZE"), outPars)
							if condition:
								yield condition
						</code>
					</phraseMaker>
				</condDesc>
				<LOOP>
					<csvItems>
						par,         col,             what
						BAND,        ssa_specmid,     Wavelengths that the spectrum shall have: ranges in m (vacuum or air as the spectrum)
						TIME,        ssa_dateObs,     Dates (UTC) in which the observation shall fall: ranges as in 2008/2012-06
						MTIME,       ssa_pdate,       Dates (UTC) of publication: ranges
						APERTURE,    ssa_aperture,    Diameter of slit or fibre in degrees: ranges
						REDSHIFT,    ssa_redshift,    Redshift: ranges
						SNR,         ssa_snr,         Least signal-to-noise ratio a pixel; or ranges
						SPECRP,      ssa_snr,         Least resolving power at the middle of the spectrum; or ranges
						TARGETNAME,  ssa_targname,    Names of targets whatever their case
						WILDTARGET,  ssa_targname,    Name of targets with * for any characters and ? for one
						TARGETCLASS, ssa_targclass,   Classes of targets
						FLUXCALIB,   ssa_fluxcalib,   Calibration of the flux
						WAVECALIB,   ssa_speccalib,   Calibration of the wavelength
						COLLECTION,  ssa_collection,  Name of the survey
						PUBDID,      ssa_pubDID,      Identifier given by this archive
						CREATORDID,  ssa_creatorDID,  Identifier given by the survey
					</csvItems>
					<events>
						<condDesc id="\par\+_cond">
							<inputKey original="//ssap#instance.\col" name="\par" type="text" xtype="" unit="" std="True" multiplicity="single"
								description="\what"/>
							<phraseMaker>
								<code>
									from vo import ssap
									condition = ssap.condition("\par", inPars.get("\par"), outPars)
									if condition:
										yield condition
								</code>
							</phraseMaker>
						</condDesc>
					</events>
				</LOOP>
				<condDesc id="plain" combining="True" joiner="AND">
					<inputKey name="REQUEST" type="text" std="True" multiplicity="single" required="True"
						description="queryData; or getTargetNames for the names of all targets">
						<property key="defaultForForm">queryData</property>
					</inputKey>
					<inputKey name="TOP" type="integer" std="True" multiplicity="single"
						description="Number of spectra wanted; there is no ranking, so it does the same as MAXREC"/>
					<inputKey name="COMPRESS" type="text" std="True" multiplicity="single"
						description="May spectra be compressed? HTTP decides that here (Accept-Encoding), so it changes nothing"/>
					<inputKey name="RUNID" type="text" std="True" multiplicity="single"
						description="Identifier of a run of the client; changes nothing"/>
					<phraseMaker>
						<code>
							from vo import ssap
							ssap.limits(inPars.get("TOP"))
							if False:
								yield
						</code>
					</phraseMaker>
				</condDesc>
				<condDesc id="format">
					<inputKey original="//ssap#instance.mime" name="FORMAT" type="text" std="True" multiplicity="single"
						description="Media type or compliant, native, votable, fits, graphic, all; without it: one row a spectrum, as VOTable">
						compliant
					</inputKey>
					<phraseMaker>
						<code>
							from vo import ssap
							yield ssap.format_condition(inPars.get("FORMAT"), outPars)
						</code>
					</phraseMaker>
				</condDesc>
			</ssapCore>
		</service>
		<regSuite title="\shortname">
			<regTest title="SSAP lists spectra with a SODA block">
				<url REQUEST="queryData" MAXREC="1">ssap/ssap.xml</url>
				<code>
					self.assertHTTPStatus(200)
					self.assertHasStrings("ssa:Access.Reference", "application/x-votable+xml")
					self.assertTrue(b"ivo://ivoa.net/std/soda#sync-1.0" in self.data.lower())
					self.assertEqual(len(self.getVOTableRows()), 1)
				</code>
			</regTest>
			<regTest title="SSAP says what it takes">
				<url REQUEST="queryData" FORMAT="METADATA">ssap/ssap.xml</url>
				<code>self.assertHasStrings("INPUT:POS", "INPUT:BAND", "INPUT:TIME", "INPUT:FORMAT")</code>
			</regTest>
			<regTest title="A spectrum's links and the spectrum are there">
				<url REQUEST="queryData" MAXREC="1">ssap/ssap.xml</url>
				<code>
					import urllib.parse, urllib.request
					row = self.getFirstVOTableRow()
					with urllib.request.urlopen(row["accref"]) as answer:
						assert b"spec:Spectrum" in answer.read()
					with urllib.request.urlopen(row["preview"]) as answer:
						assert b"PNG" in answer.read(8)
				</code>
			</regTest>
			<regTest title="An unknown spectrum is a NotFoundFault">
				<url ID="nosuch">dl/dlmeta</url>
				<code>self.assertHasStrings("NotFoundFault")</code>
			</regTest>
		</regSuite>
	</STREAM>

	<STREAM id="links">
		<doc>The datalink service of a release and its spectrum service (SODA: cut-outs, VOTable, FITS, CSV).</doc>
		<service id="dl" allowed="dlmeta,dlget,static">
			<meta name="title">\title: links</meta>
			<meta name="shortName">\shortname links</meta>
			<meta name="description">For a spectrum's identifier: its files, plots and services.</meta>
			<datalinkCore>
				<descriptorGenerator>
					<setup><code>from vo import datalink as specola_links</code></setup>
					<code>return specola_links.describe(pubDID, \\quote{\\schema}, args)</code>
				</descriptorGenerator>
				<metaMaker>
					<setup><code>from vo import datalink as specola_links</code></setup>
					<code>
						for link in specola_links.links(descriptor):
							yield link
					</code>
				</metaMaker>
				<metaMaker semantics="#cutout">
					<setup><code>from vo import datalink as specola_links</code></setup>
					<code>
						for key in specola_links.parameters(descriptor):
							yield key
					</code>
				</metaMaker>
				<dataFunction>
					<setup><code>from vo import datalink as specola_links</code></setup>
					<code>descriptor.data = specola_links.load(descriptor)</code>
				</dataFunction>
				<dataFunction>
					<setup><code>from vo import datalink as specola_links</code></setup>
					<code>specola_links.cut(descriptor, args)</code>
				</dataFunction>
				<dataFormatter>
					<setup><code>from vo import datalink as specola_links</code></setup>
					<code>return specola_links.render(descriptor, args)</code>
				</dataFormatter>
			</datalinkCore>
		</service>
	</STREAM>

	<STREAM id="cone">
		<doc>A cone search on a table.</doc>
		<DEFAULTS sets="ivo_managed"/>
		<service id="cone" allowed="scs.xml,form">
			<meta name="title">\title</meta>
			<meta name="shortName">\shortname</meta>
			<meta name="testQuery.ra">\testra</meta>
			<meta name="testQuery.dec">\testdec</meta>
			<meta name="testQuery.sr">\testsr</meta>
			<publish render="scs.xml" sets="\sets"/>
			<publish render="form" sets="\sets,local"/>
			<scsCore queriedTable="\table">
				<condDesc original="//scs#humanInput"/>
				<condDesc original="//scs#protoInput">
					<phraseMaker id="checked">
						<setup original="//scs#scsSetup"/>
						<code>
							from vo import scs as specola_scs
							specola_scs.check(inPars)
							yield genQuery(core.queriedTable, inPars, outPars)
						</code>
					</phraseMaker>
				</condDesc>
			</scsCore>
		</service>
		<regSuite title="\shortname">
			<regTest title="The cone search finds its test position">
				<url RA="\testra" DEC="\testdec" SR="\testsr">cone/scs.xml</url>
				<code>
					self.assertHasStrings("POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN", "ID_MAIN")
					assert self.getVOTableRows()
				</code>
			</regTest>
		</regSuite>
	</STREAM>
</resource>
